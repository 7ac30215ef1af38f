"""The provisioning files of Grafana: data sources and dashboard providers, with the environment expanded in them."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(\$)|__env\{(\w+)\}|\{(\w+)\}|(\w+))")
_DEFAULT_UPDATE_INTERVAL_S = 10.0


class ConfigurationError(Exception):
    """A provisioning file cannot be used; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One data source; `number` is the id of the old, numeric API."""

    number: int
    uid: str
    name: str
    kind: str
    url: str
    access: str
    is_default: bool
    editable: bool
    json_data: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return what the API answers for it."""
        return {
            "id": self.number,
            "uid": self.uid,
            "orgId": 1,
            "name": self.name,
            "type": self.kind,
            "typeName": self.kind.capitalize(),
            "access": self.access,
            "url": self.url,
            "user": "",
            "database": "",
            "basicAuth": False,
            "isDefault": self.is_default,
            "jsonData": dict(self.json_data),
            "readOnly": not self.editable,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One folder (or file) of dashboards; a relative path counts from the process's working directory."""

    name: str
    path: Path
    update_interval_s: float
    deletes: bool


def data_sources(provisioning: Path) -> tuple[DataSource, ...]:
    """Return the data sources of `datasources/*.yml`, in file order. Raises ConfigurationError."""
    entries = _entries(provisioning / "datasources", "datasources")
    return tuple(_data_source(number, entry) for number, entry in enumerate(entries, start=1))


def providers(provisioning: Path) -> tuple[Provider, ...]:
    """Return the providers of `dashboards/*.yml`, in file order. Raises ConfigurationError."""
    return tuple(_provider(entry) for entry in _entries(provisioning / "dashboards", "providers"))


def made_up_uid(name: str) -> str:
    """Return the uid that Grafana derives from a name; PBFA97CFB590B2093 for `Prometheus`."""
    return f"P{hashlib.sha256(name.encode()).hexdigest()[:16].upper()}"


def _data_source(number: int, entry: Mapping[str, Any]) -> DataSource:
    return DataSource(
        number=number,
        uid=str(entry.get("uid") or made_up_uid(entry["name"])),
        name=entry["name"],
        kind=str(entry.get("type", "")),
        url=str(entry.get("url", "")),
        access=str(entry.get("access", "proxy")),
        is_default=bool(entry.get("isDefault", False)),
        editable=bool(entry.get("editable", False)),
        json_data=entry.get("jsonData") or {},
    )


def _provider(entry: Mapping[str, Any]) -> Provider:
    options = entry.get("options") or {}
    path = options.get("path") or options.get("folder")
    if not path:
        raise ConfigurationError(f"dashboard provider {entry['name']}: options.path is missing")
    return Provider(
        name=entry["name"],
        path=Path(path).absolute(),
        update_interval_s=float(entry.get("updateIntervalSeconds") or _DEFAULT_UPDATE_INTERVAL_S),
        deletes=not entry.get("disableDeletion", False),
    )


def _entries(folder: Path, section: str) -> Iterator[Mapping[str, Any]]:
    """Yield the named entries of every YAML file in `folder`, expanded."""
    for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
        entries = document.get(section) or [] if isinstance(document, dict) else []
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise ConfigurationError(f"{path}: an entry of {section} has no name")
            yield _expanded(entry)


def _expanded(value: Any) -> Any:  # noqa: ANN401 - YAML holds anything
    """Expand `$VAR`, `${VAR}` and `$__env{VAR}` in every text; `$$` is a dollar, an unset variable is empty."""
    if isinstance(value, str):
        return _VARIABLE.sub(_value_of, value)
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return value


def _value_of(variable: re.Match[str]) -> str:
    dollar, *names = variable.groups()
    return dollar or os.environ.get(next(filter(None, names)), "")
