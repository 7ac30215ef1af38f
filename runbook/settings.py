"""Where each system is and who we are there: one group per system, default, variable and meaning side by side.

Sources, later ones win: the defaults here (the addresses of the runbook), `[targets.NAME.GROUP]` of runbook.toml,
the environment (`RUNBOOK_KEYCLOAK_URL`; a secret also as `RUNBOOK_KEYCLOAK_PASSWORD_FILE`), a task's options.
The targets `local` and `docker` are written by `stack.up`; their variables begin with `RUNBOOK_LOCAL_` and
`RUNBOOK_DOCKER_`, so that what is exported for production cannot leak into them.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, ValidationError

from runbook.errors import FOREIGN, UsageError
from runbook.invocation import inv
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.systems.apexflow.settings import ApexflowSettings
from runbook.systems.gateway.settings import GatewaySettings
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.http_settings import HttpSettings
from runbook.systems.kafka.settings import KafkaSettings
from runbook.systems.keycloak.settings import KeycloakSettings
from runbook.systems.prometheus.settings import PrometheusSettings
from runbook.systems.runtime_settings import RuntimeSettings
from runbook.systems.setting_errors import did_you_mean, wrong_settings
from runbook.systems.setting_sources import FILE_SUFFIX, TomlTable, key_lines
from runbook.systems.settings_group import Given, Group, given_settings, is_secret
from runbook.systems.sink.settings import SinkSettings

SETTINGS_FILE = Path("runbook.toml")
STATE_DIR = Path(".runbook")
STACK_DIR = Path(".stack")
LOCAL = "local"
DOCKER = "docker"
STACKS = {LOCAL: (STACK_DIR, "stack.up"), DOCKER: (Path(".stack-docker"), "stack.up --docker")}
"""Targets that stack.up writes: where it keeps their settings, and the command that brings them up."""
DEFAULT_TARGET = "live"
TARGET_VARIABLE: Final = "RUNBOOK_TARGET"
_PREFIX: Final = "RUNBOOK_"
_MOVED: Final = {("gateway", f"apexflow_{key}"): ("apexflow", key) for key in ("service", "container")}
"""Settings that have moved from one group to another: their old keys and variables stay accepted."""
_NO_SETTINGS: Final = frozenset({TARGET_VARIABLE, "RUNBOOK_STACK"})  # the second marks processes of the local stack


class FileSettings(Group):
    """Where the two files are on this host; unset: asked of Docker's bind mounts."""

    monitoring_dir: Path | None = Field(
        None, description="folder with grafana/dashboards and the rules file", examples=["/srv/monitoring"]
    )
    dashboard: Path | None = Field(
        None, description="crm_events_pipeline.json", examples=["/srv/dashboards/crm_events_pipeline.json"]
    )
    rules: Path | None = Field(
        None, description="prometheus-crm-events-rules.yml", examples=["/srv/prometheus-crm-events-rules.yml"]
    )


class RunsSettings(Group):
    """Which recorded runs of the target are kept; what a later command needs is kept anyway."""

    keep: int = Field(500, ge=1, description="the newest runs, at most so many", examples=[200])
    keep_days: float = Field(90.0, gt=0, description="runs that are not older, in days", examples=[30])


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One installation: its runtime and where each of its systems is."""

    name: str
    runtime: RuntimeSettings
    files: FileSettings
    keycloak: KeycloakSettings
    gateway: GatewaySettings
    apexflow: ApexflowSettings
    kafka: KafkaSettings
    sink: SinkSettings
    prometheus: PrometheusSettings
    alertmanager: AlertmanagerSettings
    grafana: GrafanaSettings
    runs: RunsSettings

    @property
    def groups(self) -> Mapping[str, Group]:
        """Every group of settings by its name."""
        return {name: getattr(self, name) for name in setting_groups()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to tell the operator of these settings."""
        groups = (getattr(self, name) for name in setting_groups())
        return tuple(one.warning for one in groups if isinstance(one, HttpSettings) and one.warning)

    @classmethod
    def from_tables(
        cls,
        name: str,
        tables: Mapping[str, Any],
        *,
        source: str,
        text: str = "",
        above: str | None = None,
        mistakes: "Mistakes | None" = None,
    ) -> Self:
        """Build a target from the tables of a TOML document; `source`, the path of its file, is quoted in errors.

        `text` is the document, for the lines of errors. `above` is what stands before a group in the name of its table
        (`targets.live.`); None where nobody edits the file, so that fixes name variables. Raises UsageError for the
        first mistake, unless `mistakes` collects them.
        """
        groups = setting_groups()
        for unknown in sorted(set(tables) - set(groups)):
            error = UsageError(
                f"{unknown!r} is not a group of settings{did_you_mean(unknown, groups)}",
                where=f"[{above or ''}{unknown}] in {source}",
                fix=f"use one of {', '.join(groups)}",
            )
            if mistakes is None:
                raise error
            mistakes.errors.append(error)
        file = _File(source=source, lines=key_lines(text), above=above)
        loaded: dict[str, Any] = {
            key: _group(kind, key, tables, prefix=f"{_prefix(name)}{key}_", file=file, mistakes=mistakes)
            for key, kind in groups.items()
        }
        return cls(name=name, **loaded)


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What is wrong with settings, and which of them (`grafana`, `grafana.url`) could not be read because of it."""

    errors: list[UsageError] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The file that a target's tables come from; see `Target.from_tables`."""

    source: str
    lines: Mapping[tuple[str, str], int]
    above: str | None

    def table(self, group: str, old_names: Mapping[str, tuple[str, str]]) -> TomlTable:
        above = self.above or ""
        return TomlTable(
            source=self.source,
            name=f"{above}{group}",
            lines=self.lines,
            old_names={key: (f"{above}{old_group}", old_key) for key, (old_group, old_key) in old_names.items()},
            is_edited=self.above is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownVariable:
    """A variable of the environment that looks like a setting and is none; `nearest` is empty when none is similar."""

    name: str
    nearest: str

    @property
    def warning(self) -> str:
        """Return what to tell the operator; the value is never shown."""
        hint = f"did you mean {self.nearest}?" if self.nearest else "docs/SETTINGS.md lists the settings"
        return f"{self.name} is not a setting and has no effect; {hint}"


def setting_groups() -> dict[str, type[Group]]:
    """Return every group of settings by its name, in the order of Target."""
    return {one.name: one.type for one in fields(Target) if isinstance(one.type, type) and issubclass(one.type, Group)}


def unknown_variables(environment: Mapping[str, str] | None = None) -> tuple[UnknownVariable, ...]:
    """Return the `RUNBOOK_` variables (of this process, unless others are given) that no setting has, by name."""
    known = set(_variables())
    unknown = sorted(
        name
        for name in (os.environ if environment is None else environment)
        if name.upper().startswith(_PREFIX) and name.upper() not in known | _NO_SETTINGS
    )
    return tuple(UnknownVariable(name=name, nearest=_nearest(name, known)) for name in unknown)


def target_name(name: str | None = None) -> str:
    """Return the target that is meant: the given one, else `RUNBOOK_TARGET`, else `live`."""
    return name or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET


def option_for(name: str) -> str:
    """Return what `--target` must say to reach a target from here; empty if no option is needed."""
    return "" if name == DEFAULT_TARGET == target_name() else name


def load_target(
    name: str | None = None,
    *,
    directory: Path | None = None,
    mistakes: Mistakes | None = None,
    may_be_new: bool = False,
) -> Target:
    """Return the settings of one target; with `may_be_new`, the defaults of one that no file names yet.

    `mistakes` collects what is wrong, and wrong settings have their defaults then. `name` None means `RUNBOOK_TARGET`,
    else `live`. Raises UsageError for an unknown target, an unreadable runbook.toml, an unknown key, a wrong type, or
    when a local stack is asked for that is not up.
    """
    root = directory or Path.cwd()
    wanted = target_name(name)
    if wanted in STACKS:
        return _stack_target(root, wanted, mistakes)
    path = root / SETTINGS_FILE
    document = _toml(path)
    targets = _targets(document, path)
    if wanted != DEFAULT_TARGET and wanted not in targets and not may_be_new:
        known = sorted({DEFAULT_TARGET, *STACKS, *targets})
        raise UsageError(
            f"There is no target {wanted!r}{did_you_mean(wanted, known)}",
            where=f"{path} (known targets: {', '.join(known)})",
            fix=f"choose a known target, or write a table [targets.{wanted}]",
        )
    above = f"targets.{wanted}."
    tables = _table(targets.get(wanted, {}), f"[targets.{wanted}] in {path}", wanted)
    return Target.from_tables(wanted, tables, source=str(path), text=document.text, above=above, mistakes=mistakes)


@dataclass(frozen=True, slots=True)
class _Document:
    """A TOML document that was read; a file that is not there holds nothing."""

    text: str = ""
    tables: Mapping[str, Any] = field(default_factory=dict)
    is_there: bool = False


def _stack_target(root: Path, name: str, mistakes: Mistakes | None) -> Target:
    folder, command = STACKS[name]
    path = root / folder / "target.toml"
    document = _toml(path)
    if not document.is_there:
        raise UsageError("The local stack is not up", where=str(path), fix=inv(command))
    return Target.from_tables(name, document.tables, source=str(path), text=document.text, mistakes=mistakes)


def _targets(document: _Document, path: Path) -> dict[str, Any]:
    """Return the table of targets; a file that is not there names none."""
    for unknown in sorted(set(document.tables) - {"targets"}):
        raise UsageError(
            f"{unknown!r} is not known{did_you_mean(unknown, ['targets'])}",
            where=str(path),
            fix="write settings as [targets.NAME.GROUP]",
        )
    return _table(document.tables.get("targets", {}), str(path), "targets")


def _toml(path: Path) -> _Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _Document(text, tomllib.loads(text), is_there=True)
    except FileNotFoundError:
        return _Document()
    except (OSError, *FOREIGN) as error:
        why = "they are nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"The settings cannot be read: {why}", where=str(path), fix=f"correct {path}") from None


def _table(value: object, source: str, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{name!r} must be a table", where=source, fix="write settings as [targets.NAME.GROUP]")
    return value


def _group(
    kind: type[Group],
    name: str,
    tables: Mapping[str, Any],
    *,
    prefix: str,
    file: _File,
    mistakes: Mistakes | None = None,
) -> Group:
    environment = {variable.upper(): value for variable, value in sorted(os.environ.items(), reverse=True)}
    above = prefix.removesuffix(f"{name}_")
    old_variables = {key: f"{above}{'_'.join(old)}".upper() for old, (group, key) in _MOVED.items() if group == name}
    try:
        table, old_names = _placed(tables, name, file)
        toml = file.table(name, old_names)
        given = given_settings(
            kind, table, prefix=prefix, environment=environment, toml=toml, old_variables=old_variables
        )
    except UsageError as error:
        if mistakes is None:
            raise
        mistakes.errors.append(error)
        mistakes.unread.add(name)
        return kind.of(Given(values={}, sources={}, prefix=prefix))
    try:
        return kind.of(given)
    except ValidationError as error:
        wrong = wrong_settings(error, kind, given=given, group=name, toml=toml)
    if mistakes is None:
        raise next(iter(wrong.values())) from None
    mistakes.errors.extend(wrong.values())
    mistakes.unread.update(f"{name}.{setting}" for setting in wrong)
    return kind.of(given.without(wrong))


def _placed(tables: Mapping[str, Any], name: str, file: _File) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Return a group's table with the settings that have moved here, and their old places; the present name wins."""

    def read(group: str) -> dict[str, Any]:
        return _table(tables.get(group, {}), f"[{file.above or ''}{group}] in {file.source}", group)

    table = {key: value for key, value in read(name).items() if (name, key) not in _MOVED}
    old_names: dict[str, tuple[str, str]] = {}
    for (old_group, old_key), (group, key) in _MOVED.items():
        if group == name and key not in table and old_key in read(old_group):
            table[key] = read(old_group)[old_key]
            old_names[key] = (old_group, old_key)
    return table, old_names


def _prefix(target: str) -> str:
    return f"{_PREFIX}{target.upper()}_" if target in STACKS else _PREFIX


def _variables() -> Iterator[str]:
    """Yield every variable that is read, of the targets that stack.up writes too."""
    for prefix in (_PREFIX, *map(_prefix, STACKS)):
        for group, kind in setting_groups().items():
            for setting, info in kind.model_fields.items():
                variable = f"{prefix}{group}_{setting}".upper()
                yield from (variable, f"{variable}{FILE_SUFFIX}") if is_secret(info) else (variable,)
        yield from (f"{prefix}{group}_{setting}".upper() for group, setting in _MOVED)


def _nearest(name: str, known: set[str]) -> str:
    """Return the variable that was probably meant; a setting that is no secret has no `_FILE`."""
    itself = name.upper().removesuffix(FILE_SUFFIX)
    return itself if itself in known else "".join(get_close_matches(name.upper(), _alike(name, known), n=1))


def _alike(name: str, known: set[str]) -> list[str]:
    """Return the known variables of the same targets: RUNBOOK_LOCAL_... is never meant by RUNBOOK_GRAFANA_..."""
    stacks = tuple(map(_prefix, STACKS))
    own = tuple(prefix for prefix in stacks if name.upper().startswith(prefix))
    alike = (
        {one for one in known if one.startswith(own)} if own else {one for one in known if not one.startswith(stacks)}
    )
    return sorted(alike | {TARGET_VARIABLE})
