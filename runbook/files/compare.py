"""What is wanted against what a file holds or a system serves: every wanted field counts, additions are fine.

Grafana adds defaults and Prometheus adds states to what they were given, so equality would never hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasource:
    """Where the panels read from. `uid` is empty where nobody could ask Grafana for it."""

    uid: str = ""
    name: str = "Prometheus"
    is_default: bool = True

    @property
    def reference(self) -> dict[str, str]:
        """What a panel says to use it; a type without uid means the default of that type."""
        return {"type": "prometheus", "uid": self.uid} if self.uid else {"type": "prometheus"}

    def is_meant_by(self, reference: object) -> bool:
        """Whether a panel's `datasource` leads here: {type, uid}, {type}, a bare name or uid, or nothing at all."""
        if not isinstance(reference, Mapping):
            return self.is_default if not reference else reference in (self.name, self.uid)
        uid = str(reference.get("uid") or "")
        right_type = reference.get("type", "prometheus") == "prometheus"
        return right_type and (self._has(uid) if uid else self.is_default)

    def _has(self, uid: str) -> bool:
        """Whether a uid can be this datasource's; a variable (`${ds}`) or Grafana's own (`-- Mixed --`) cannot."""
        return uid in {self.name, self.uid} or (not self.uid and uid[0] not in "$-")


def differing_fields(served: Mapping[str, Any], wanted: Mapping[str, Any], datasource: Datasource) -> tuple[str, ...]:
    """Paths (`targets[0].format`) of the wanted fields that differ; empty if the panel is as intended.

    Where a panel sits (`gridPos`) is left out: operators move panels, and that breaks nothing.
    """
    return tuple(
        path
        for key, value in wanted.items()
        if key != "gridPos"
        for path in _panel_field(key, served.get(key), value, datasource)
    )


def _panel_field(key: str, served: object, wanted: object, datasource: Datasource) -> Iterator[str]:
    if key == "datasource":
        if not datasource.is_meant_by(served):
            yield key
    else:
        yield from differences(key, served, wanted)


def differences(path: str, served: object, wanted: object) -> Iterator[str]:
    """Paths, beginning with `path`, at which a served JSON value is not as wanted; further members are fine."""
    if isinstance(wanted, dict) and isinstance(served, dict):
        for key, value in wanted.items():
            yield from differences(f"{path}.{key}", served.get(key), value)
    elif isinstance(wanted, list) and isinstance(served, list) and len(wanted) == len(served):
        for index, value in enumerate(wanted):
            yield from differences(f"{path}[{index}]", served[index], value)
    elif isinstance(wanted, bool) is not isinstance(served, bool) or wanted != served:
        yield path
