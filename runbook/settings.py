"""Where each system is and who we are there: one group per system, default, variable and meaning side by side.

Sources, later ones win: the defaults here (the addresses of the runbook), `[targets.NAME.GROUP]` of runbook.toml,
the environment (`RUNBOOK_KEYCLOAK_URL`; a secret also as `RUNBOOK_KEYCLOAK_PASSWORD_FILE`), a task's options.
The targets `local` and `docker` are written by `stack.up`; their variables begin with `RUNBOOK_LOCAL_` and
`RUNBOOK_DOCKER_`, so that what is exported for production cannot leak into them.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runbook.errors import UsageError

SETTINGS_FILE = Path("runbook.toml")
STATE_DIR = Path(".runbook")
STACK_DIR = Path(".stack")
LOCAL = "local"
DOCKER = "docker"
STACKS = {LOCAL: (STACK_DIR, "inv stack.up"), DOCKER: (Path(".stack-docker"), "inv stack.up --docker")}
"""Targets that stack.up writes: where it keeps their settings, and how to bring them up."""
DEFAULT_TARGET = "live"

G = TypeVar("G", bound="Group")


class Group(BaseSettings):
    """Settings of one system. Values given at construction (runbook.toml) lose against the environment."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", case_sensitive=False, env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the sources: environment, `*_FILE`, then runbook.toml."""
        prefix = env_settings.env_prefix if isinstance(env_settings, EnvSettingsSource) else ""
        return env_settings, _SecretFiles(settings_cls, prefix), init_settings


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads `VARIABLE_FILE` for every field that is or may hold a secret, as container images do."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401 - vendor's
        """Return the stripped content of the named file, if the variable is set."""
        is_secret = "SecretStr" in str(field.annotation) or not field.repr
        variable = f"{self._prefix}{field_name}_FILE".upper()
        path = os.environ.get(variable) if is_secret else None
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"The secret file could not be read: {error}", where=variable, fix=f"correct {variable}"
            ) from None

    def __call__(self) -> dict[str, Any]:
        """Collect the secrets that were given by file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self._fields()}
        return {name: value for name, value in found.items() if value is not None}

    def _fields(self) -> list[tuple[str, Any]]:
        return list(self.settings_cls.model_fields.items())


def _read_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("this is no JSON") from None  # whose own message could quote a password


class RuntimeSettings(Group):
    """What runs the services: Docker, or processes that `stack.up` started."""

    kind: Literal["docker", "processes"] = Field("docker", description="what runs the services")
    docker_host: str | None = Field(None, description="engine address; None: DOCKER_HOST or the socket")


class FileSettings(Group):
    """Where the two files are on this host; unset: asked of Docker's bind mounts."""

    monitoring_dir: Path | None = Field(None, description="folder with grafana/dashboards and the rules file")
    dashboard: Path | None = Field(None, description="crm_events_pipeline.json")
    rules: Path | None = Field(None, description="prometheus-crm-events-rules.yml")


class KeycloakSettings(Group):
    """The issuer of the token. demo/demo only because the runbook names it."""

    url: str = Field("http://localhost:8180", description="base address, without /realms")
    realm: str = Field("aetherlink", description="realm of the CRM")
    client_id: str = Field("aetherlink-gateway", description="public client with direct access grants")
    client_secret: SecretStr | None = Field(None, description="only for a confidential client")
    username: str = Field("demo", description="user who creates the test data")
    password: SecretStr = Field(SecretStr("demo"), description="that user's password")
    service: str = Field("keycloak", description="compose service")
    container: str = Field("aether-keycloak", description="container name")


class GatewaySettings(Group):
    """The edge proxy, the gateway and ApexFlow behind it."""

    url: str = Field("http://localhost", description="address of the edge proxy")
    host: str = Field("apexflow.aetherlink.local", description="Host header that routes to the gateway")
    service: str = Field("gateway", description="compose service")
    container: str = Field("aether-gateway", description="container name")
    apexflow_service: str = Field("apexflow", description="compose service of ApexFlow")
    apexflow_container: str = Field("aether-apexflow", description="container name of ApexFlow")


class KafkaSettings(Group):
    """The broker, as this host reaches it, and the topics of the two events."""

    bootstrap: str = Field("localhost:19092", description="host:port of the outside listener")
    group: str = Field("crm-events-sink", description="the sink's consumer group")
    lead_topic: str = Field("apexflow.leads.created", description="topic of lead.created")
    job_topic: str = Field("apexflow.jobs.created", description="topic of job.created")
    options: Annotated[dict[str, str], NoDecode, BeforeValidator(_read_json)] = Field(
        default_factory=dict, description="further librdkafka settings, in a variable as JSON", repr=False
    )
    service: str = Field("kafka", description="compose service")
    container: str = Field("kafka", description="container name")


class SinkSettings(Group):
    """The CRM events sink."""

    metrics_url: str = Field("http://localhost:9105/metrics", description="the page that Prometheus scrapes")
    http_url: str = Field("http://localhost:9106", description="health endpoints")
    service: str = Field("crm-events-sink", description="compose service")
    container: str = Field("aether-crm-events-sink", description="container name")


class PrometheusSettings(Group):
    """Prometheus."""

    url: str = Field("http://localhost:9090", description="base address")
    job: str = Field("crm-events-sink", description="scrape job of the sink")
    rules_inside: str = Field("/etc/prometheus/crm-events-rules.yml", description="rules file as it is inside")
    promtool: str = Field("promtool", description="program that checks rules files, used where it is found")
    service: str = Field("prometheus", description="compose service")
    container: str = Field("aether-prom", description="container name")


class AlertmanagerSettings(Group):
    """Alertmanager."""

    url: str = Field("http://localhost:9093", description="base address")
    service: str = Field("alertmanager", description="compose service")
    container: str = Field("aether-alertmanager", description="container name")


class GrafanaSettings(Group):
    """Grafana. admin/admin only because the runbook names it."""

    url: str = Field("http://localhost:3000", description="base address")
    username: str = Field("admin", description="user of the API")
    password: SecretStr = Field(SecretStr("admin"), description="that user's password")
    dashboard_uid: str = Field("crm-events-pipeline", description="uid of the dashboard")
    datasource: str = Field("Prometheus", description="name of the datasource that the panels query")
    datasource_uid: str | None = Field(None, description="its uid; None: asked of Grafana")
    dashboard_inside: str = Field(
        "/var/lib/grafana/dashboards/crm_events_pipeline.json", description="dashboard file as it is inside"
    )
    service: str = Field("grafana", description="compose service")
    container: str = Field("aether-grafana", description="container name")


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
