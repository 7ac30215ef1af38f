"""Which program plays which part of the installation, and how it is started."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runbook.clients.launcher import Launch
from runbook.stack.installation import FASTER
from runbook.stack.layout import Layout
from runbook.stack.ports import Ports
from runbook.stack.tools import Tools

Kind = Literal["real", "stand-in"]

TOPICS = ("apexflow.leads.created", "apexflow.jobs.created")
_PARTITIONS = 4
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")  # nothing else: what is exported for production stays out


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the stack: `name` as in the settings, `plays` for people, `ready` as in readiness.py.

    `needs` are ready before it starts. `follows` are those of them whose new start makes it useless: they come back
    at another address.
    """

    name: str
    plays: str
    kind: Kind
    launch: Launch
    ready: str
    address: str
    ports: tuple[int, ...]
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole stack, as `stack.up` decided it before anything was started."""

    ports: Ports
    parts: tuple[Part, ...]

    def part(self, name: str) -> Part:
        """Return the part of that name. Raises KeyError."""
        return {part.name: part for part in self.parts}[name]


def planned_stack(layout: Layout, ports: Ports, tools: Tools) -> Plan:
    """Decide every part, in the order in which people read the flow."""
    parts = (
        _keycloak(layout, ports),
        _gateway(layout, ports),
        _apexflow(layout, ports),
        _kafka(layout, ports),
        _sink(layout, ports),
        _prometheus(layout, ports, tools),
        _alertmanager(layout, ports, tools),
        _grafana(layout, ports),
    )
    return Plan(ports=ports, parts=parts)


def _keycloak(layout: Layout, ports: Ports) -> Part:
    options = ("--realm", "aetherlink", "--client", "aetherlink-gateway", "--tenant", "acme")
    return Part(
        name="keycloak",
        plays="Keycloak: a small OIDC issuer",
        kind="stand-in",
        launch=_stand_in(layout, "issuer", "--port", str(ports.keycloak), *options, STANDIN_USERS="demo:demo"),
        ready=f"{_url(ports.keycloak)}/health/ready",
        address=_url(ports.keycloak),
        ports=(ports.keycloak,),
    )


def _gateway(layout: Layout, ports: Ports) -> Part:
    upstream, issuer = _url(ports.apexflow), _url(ports.keycloak)
    options = ("--upstream", upstream, "--issuer-url", issuer, "--host", "apexflow.aetherlink.local")
    return Part(
        name="gateway",
        plays="edge proxy and gateway",
        kind="stand-in",
        launch=_stand_in(layout, "gateway", "--port", str(ports.gateway), *options),
        ready=f"tcp://127.0.0.1:{ports.gateway}",
        address=_url(ports.gateway),
        ports=(ports.gateway,),
        needs=("keycloak",),
    )


def _apexflow(layout: Layout, ports: Ports) -> Part:
    options = ("--database", str(layout.data / "apexflow.sqlite"), "--bootstrap-file", str(layout.bootstrap))
    return Part(
        name="apexflow",
        plays="ApexFlow and its database: SQLite",
        kind="stand-in",
        launch=_stand_in(layout, "apexflow", "--port", str(ports.apexflow), *options),
        ready=f"{_url(ports.apexflow)}/health",
        address=_url(ports.apexflow),
        ports=(ports.apexflow,),
        needs=("kafka",),
        follows=("kafka",),
    )


def _kafka(layout: Layout, ports: Ports) -> Part:
    options = ["--bootstrap-file", str(layout.bootstrap), "--control-port", str(ports.kafka_control)]
    for topic in TOPICS:
        options += ["--topic", f"{topic}:{_PARTITIONS}"]
    return Part(
        name="kafka",
        plays="Kafka: librdkafka's mock cluster",
        kind="stand-in",
        launch=replace(_stand_in(layout, "broker", *options), announced_by=str(layout.bootstrap)),
        ready=layout.bootstrap.as_uri(),
        address="",  # its own choice, written into the bootstrap file
        ports=(ports.kafka_control,),
    )


def _sink(layout: Layout, ports: Ports) -> Part:
    environment = {
        "GROUP_ID": "crm-events-sink",
        "TOPICS": ",".join(TOPICS),
        "PROM_PORT": str(ports.sink_metrics),
        "HTTP_PORT": str(ports.sink_http),
        "SINK_BIND": "127.0.0.1",
        # When its last member has left, the mock broker lets the next one in only after the session's time.
        "KAFKA_SESSION_TIMEOUT_MS": "3000",
        "KAFKA_HEARTBEAT_INTERVAL_MS": "500",
    }
    return Part(
        name="crm-events-sink",
        plays="CRM events sink",
        kind="real",
        launch=replace(
            _python(layout, "sink", **environment), environment_files={"KAFKA_BOOTSTRAP": str(layout.bootstrap)}
        ),
        detail="session of 3 s (production: 10 s)",
        ready=f"{_url(ports.sink_http)}/readyz",
        address=f"{_url(ports.sink_metrics)}/metrics",
        ports=(ports.sink_metrics, ports.sink_http),
        needs=("kafka",),
        follows=("kafka",),
    )


def _prometheus(layout: Layout, ports: Ports, tools: Tools) -> Part:
    command = (
        str(tools.prometheus),
        f"--config.file={layout.monitoring / 'prometheus.yml'}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        "--web.enable-lifecycle",
    )
    return Part(
        name="prometheus",
        plays="Prometheus",
        kind="real",
        launch=Launch(command=command, directory=str(tools.home), environment=_inherited()),
        ready=f"{_url(ports.prometheus)}/-/ready",
        address=_url(ports.prometheus),
        ports=(ports.prometheus,),
        detail=FASTER,
    )


def _alertmanager(layout: Layout, ports: Ports, tools: Tools) -> Part:
    command = (
        str(tools.alertmanager),
        f"--config.file={layout.monitoring / 'alertmanager.yml'}",
        f"--storage.path={layout.data / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
        "--cluster.listen-address=",  # alone: no port for peers
    )
    return Part(
        name="alertmanager",
        plays="Alertmanager",
        kind="real",
        launch=Launch(command=command, directory=str(tools.home), environment=_inherited()),
        ready=f"{_url(ports.alertmanager)}/-/ready",
        address=_url(ports.alertmanager),
        ports=(ports.alertmanager,),
    )


def _grafana(layout: Layout, ports: Ports) -> Part:
    options = ("--port", str(ports.grafana), "--provisioning", str(layout.monitoring / "grafana/provisioning"))
    return Part(
        name="grafana",
        plays="Grafana: its HTTP API",
        kind="stand-in",
        launch=_stand_in(layout, "grafana", *options, GF_SECURITY_ADMIN_PASSWORD="admin"),  # noqa: S106 - the runbook names it
        ready=f"{_url(ports.grafana)}/api/health",
        address=_url(ports.grafana),
        ports=(ports.grafana,),
        needs=("prometheus",),
    )


def _stand_in(layout: Layout, name: str, *options: str, **environment: str) -> Launch:
    return _python(layout, f"runbook.stack.standins.{name}", *options, **environment)


def _python(layout: Layout, module: str, *options: str, **environment: str) -> Launch:
    """Start a module of this installation from the stack's folder, so that no file of the checkout shadows another."""
    return Launch(
        command=(sys.executable, "-m", module, *options),
        directory=str(layout.root),
        environment={**_inherited(), **environment},
    )


def _inherited() -> Mapping[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
