"""What is wanted against what a file holds or a system serves: every wanted field counts, additions are fine.

Grafana adds defaults and Prometheus adds states to what they were given, so equality would never hold.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasource:
    """Where the panels read from. `uid` is empty where nobody could ask Grafana for it.

    `aliases` are other names and uids that lead to the same address, and variables of the dashboard that do.
    """

    uid: str = ""
    name: str = "Prometheus"
    is_default: bool = True
    aliases: frozenset[str] = frozenset()

    @property
    def reference(self) -> dict[str, str]:
        """What a panel says to use it; a type without uid means the default of that type."""
        return {"type": "prometheus", "uid": self.uid} if self.uid else {"type": "prometheus"}

    def is_meant_by(self, reference: object) -> bool:
        """Whether a panel's `datasource` leads here: {type, uid}, {type}, a bare name or uid, or nothing at all."""
        if not isinstance(reference, Mapping):
            return self.is_default if not reference else str(reference) in {self.name, self.uid} | self.aliases
        uid = str(reference.get("uid") or "")
        right_type = reference.get("type", "prometheus") == "prometheus"
        return right_type and (self._has(uid) if uid else self.is_default)

    def by_variables(self, templating: object) -> "Datasource":
        """The same, also reached by the variables of a dashboard (`templating`) whose value now leads here."""
        listed = templating.get("list") if isinstance(templating, Mapping) else None
        variables = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        names = [one.get("name") for one in variables if one.get("type") == "datasource" and self._is_chosen(one)]
        return replace(self, aliases=self.aliases | {form for name in names for form in (f"${name}", f"${{{name}}}")})

    def _is_chosen(self, variable: Mapping[str, Any]) -> bool:
        """Whether a variable for datasources stands on this one; without a value it stands on the default."""
        current = variable.get("current")
        value = current.get("value") if isinstance(current, Mapping) else None
        if not value or value == "default":
            return variable.get("query") == "prometheus" and self.is_default
        return isinstance(value, str) and value in {self.name, self.uid} | self.aliases

    def _has(self, uid: str) -> bool:
        """Whether a uid can be this datasource's; a variable (`${ds}`) or Grafana's own (`-- Mixed --`) cannot."""
        return uid in {self.name, self.uid} | self.aliases or (not self.uid and uid[0] not in "$-")


class Source(Protocol):
    """A datasource as Grafana lists it."""

    @property
    def uid(self) -> str: ...  # noqa: D102 - a field
    @property
    def name(self) -> str: ...  # noqa: D102 - a field
    @property
    def type(self) -> str: ...  # noqa: D102 - a field
    @property
    def url(self) -> str: ...  # noqa: D102 - a field
    @property
    def is_default(self) -> bool: ...  # noqa: D102 - a field


def datasource_among(chosen: Source, listed: Iterable[Source]) -> Datasource:
    """The chosen one of Grafana's datasources, with the names and uids of those that lead to the same address."""
    same = [one for one in listed if one.type == chosen.type and one.url and one.url == chosen.url]
    aliases = frozenset(name for one in same for name in (one.uid, one.name))
    return Datasource(uid=chosen.uid, name=chosen.name, is_default=chosen.is_default, aliases=aliases)


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
