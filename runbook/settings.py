"""Where each system is and who we are there: one group per system, default, variable and meaning side by side.

Sources, later ones win: the defaults here (the addresses of the runbook), `[targets.NAME.GROUP]` of runbook.toml,
the environment (`RUNBOOK_KEYCLOAK_URL`; a secret also as `RUNBOOK_KEYCLOAK_PASSWORD_FILE`), a task's options.
The targets `local` and `docker` are written by `stack.up`; their variables begin with `RUNBOOK_LOCAL_` and
`RUNBOOK_DOCKER_`, so that what is exported for production cannot leak into them.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError

from runbook.errors import UsageError
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.systems.gateway.settings import GatewaySettings
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.kafka.settings import KafkaSettings
from runbook.systems.keycloak.settings import KeycloakSettings
from runbook.systems.prometheus.settings import PrometheusSettings
from runbook.systems.runtime_settings import RuntimeSettings
from runbook.systems.settings_group import Group
from runbook.systems.sink.settings import SinkSettings

SETTINGS_FILE = Path("runbook.toml")
STATE_DIR = Path(".runbook")
STACK_DIR = Path(".stack")
LOCAL = "local"
DOCKER = "docker"
STACKS = {LOCAL: (STACK_DIR, "inv stack.up"), DOCKER: (Path(".stack-docker"), "inv stack.up --docker")}
"""Targets that stack.up writes: where it keeps their settings, and how to bring them up."""
DEFAULT_TARGET = "live"

G = TypeVar("G", bound=Group)


class FileSettings(Group):
    """Where the two files are on this host; unset: asked of Docker's bind mounts."""

    monitoring_dir: Path | None = Field(None, description="folder with grafana/dashboards and the rules file")
    dashboard: Path | None = Field(None, description="crm_events_pipeline.json")
    rules: Path | None = Field(None, description="prometheus-crm-events-rules.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One installation: its runtime and where each of its systems is."""

    name: str
    runtime: RuntimeSettings
    files: FileSettings
    keycloak: KeycloakSettings
    gateway: GatewaySettings
    kafka: KafkaSettings
    sink: SinkSettings
    prometheus: PrometheusSettings
    alertmanager: AlertmanagerSettings
    grafana: GrafanaSettings

    @classmethod
    def from_tables(cls, name: str, tables: Mapping[str, Any], *, source: str) -> Self:
        """Build a target from the tables of a TOML document; `source` is quoted in errors."""
        known = [field.name for field in fields(cls) if field.name != "name"]
        unknown = sorted(set(tables) - set(known))
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is not a group of settings",
                where=source,
                fix=f"use one of {', '.join(known)}",
            )

        def group(kind: type[G], key: str) -> G:
            return _group(kind, _table(tables.get(key, {}), source, key), prefix=f"{prefix}{key}_", source=source)

        prefix = f"RUNBOOK_{name.upper()}_" if name in STACKS else "RUNBOOK_"
        return cls(
            name=name,
            runtime=group(RuntimeSettings, "runtime"),
            files=group(FileSettings, "files"),
            keycloak=group(KeycloakSettings, "keycloak"),
            gateway=group(GatewaySettings, "gateway"),
            kafka=group(KafkaSettings, "kafka"),
            sink=group(SinkSettings, "sink"),
            prometheus=group(PrometheusSettings, "prometheus"),
            alertmanager=group(AlertmanagerSettings, "alertmanager"),
            grafana=group(GrafanaSettings, "grafana"),
        )


def target_name(name: str | None = None) -> str:
    """Return the target that is meant: the given one, else `RUNBOOK_TARGET`, else `live`."""
    return name or os.environ.get("RUNBOOK_TARGET") or DEFAULT_TARGET


def option_for(name: str) -> str:
    """Return what `--target` must say to reach a target from here; empty if no option is needed."""
    return "" if name == DEFAULT_TARGET == target_name() else name


def load_target(name: str | None = None, *, directory: Path | None = None) -> Target:
    """Return the settings of one target.

    `name` None means `RUNBOOK_TARGET`, else `live`. Raises UsageError for an unknown target, an unreadable
    runbook.toml, an unknown key, a wrong type, or when a local stack is asked for that is not up.
    """
    root = directory or Path.cwd()
    wanted = target_name(name)
    if wanted in STACKS:
        return _stack_target(root, wanted)
    path = root / SETTINGS_FILE
    targets = _targets(path)
    if wanted != DEFAULT_TARGET and wanted not in targets:
        known = ", ".join(sorted({DEFAULT_TARGET, *STACKS, *targets}))
        raise UsageError(
            f"There is no target {wanted!r}",
            where=f"{path} (known targets: {known})",
            fix=f"choose a known target, or write a table [targets.{wanted}]",
        )
    source = f"{path} [targets.{wanted}]"
    return Target.from_tables(wanted, _table(targets.get(wanted, {}), source, wanted), source=source)


def _stack_target(root: Path, name: str) -> Target:
    folder, command = STACKS[name]
    path = root / folder / "target.toml"
    tables = _toml(path)
    if tables is None:
        raise UsageError("The local stack is not up", where=str(path), fix=command)
    return Target.from_tables(name, tables, source=str(path))


def _targets(path: Path) -> dict[str, Any]:
    """Return the table of targets; a file that is not there names none."""
    found = _toml(path) or {}
    unknown = sorted(set(found) - {"targets"})
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not known", where=str(path), fix="write it as [targets.NAME.GROUP]")
    return _table(found.get("targets", {}), str(path), "targets")


def _toml(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The settings cannot be read: {error}", where=str(path), fix=f"correct {path}") from None


def _table(value: object, source: str, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(
            f"{name!r} is {type(value).__name__}, expected a table",
            where=source,
            fix="write it as [targets.NAME.GROUP]",
        )
    return value


def _group(kind: type[G], table: dict[str, Any], *, prefix: str, source: str) -> G:
    try:
        return kind(_env_prefix=prefix, **table)  # type: ignore[call-arg]  # an option of BaseSettings itself
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        variable = f"{prefix}{field}".upper()
        given = [name for name in (variable, f"{variable}_FILE") if os.environ.get(name)]
        raise UsageError(
            f"{field}: {first['msg']}",
            where=f"environment variable {given[0]}" if given else f"{source}, {field}",
            fix=_allowed(kind, field),
        ) from None


def _allowed(kind: type[Group], field: str) -> str:
    if field not in kind.model_fields:
        return f"use one of {', '.join(kind.model_fields)}"
    return f"correct it: {kind.model_fields[field].description}"
