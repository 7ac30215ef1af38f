"""Which program each service of the stack is, and how it is started."""

import sys
from dataclasses import replace

from runbook.local_stack.installation import FASTER
from runbook.local_stack.kafka import kafka_service
from runbook.local_stack.keycloak import keycloak_service
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.local_stack.postgres import APEXFLOW, database_url, postgres_service
from runbook.local_stack.real import Programs
from runbook.local_stack.service_spec import PARTITIONS, TOPICS, ServiceSpec, StackPlan, inherited, local_url
from runbook.local_stack.tools import Tools
from runbook.systems.processes.launcher import Launch


def planned_stack(layout: Layout, ports: Ports, tools: Tools, real: Programs) -> StackPlan:
    """Decide every service, in the order in which people read the flow."""
    services = (
        keycloak_service(layout, ports, real.keycloak) if real.keycloak else _keycloak(layout, ports),
        _gateway(layout, ports),
        _apexflow(layout, ports, real),
        *([postgres_service(layout, ports, real.postgres)] if real.postgres else []),
        kafka_service(layout, ports, real.kafka) if real.kafka else _kafka(layout, ports),
        _sink(layout, ports, real) if real.kafka else _with_a_short_session(_sink(layout, ports, real)),
        _prometheus(layout, ports, tools),
        _alertmanager(layout, ports, tools),
        _grafana(layout, ports),
    )
    return StackPlan(ports=ports, services=services, real=real.names)


def _keycloak(layout: Layout, ports: Ports) -> ServiceSpec:
    options = ("--realm", "aetherlink", "--client", "aetherlink-gateway", "--tenant", "acme")
    return ServiceSpec(
        name="keycloak",
        plays="Keycloak: a small OIDC issuer",
        kind="stand-in",
        launch=_stand_in(layout, "issuer", "--port", str(ports.keycloak), *options, STANDIN_USERS="demo:demo"),
        ready=f"{local_url(ports.keycloak)}/health/ready",
        address=local_url(ports.keycloak),
        ports=(ports.keycloak,),
    )


def _gateway(layout: Layout, ports: Ports) -> ServiceSpec:
    upstream, issuer = local_url(ports.apexflow), local_url(ports.keycloak)
    options = ("--upstream", upstream, "--issuer-url", issuer, "--host", "apexflow.aetherlink.local")
    return ServiceSpec(
        name="gateway",
        plays="edge proxy and gateway",
        kind="stand-in",
        launch=_stand_in(layout, "gateway", "--port", str(ports.gateway), *options),
        ready=f"tcp://127.0.0.1:{ports.gateway}",
        address=local_url(ports.gateway),
        ports=(ports.gateway,),
        needs=("keycloak",),
    )


def _apexflow(layout: Layout, ports: Ports, real: Programs) -> ServiceSpec:
    """Return the service; its password for PostgreSQL is libpq's own variable, read from a file at each start."""
    database = database_url(ports, APEXFLOW) if real.postgres else str(layout.data / "apexflow.sqlite")
    options = ("--database", database, "--bootstrap-file", str(layout.bootstrap))
    launch = _stand_in(layout, "apexflow", "--port", str(ports.apexflow), *options)
    files = {"PGPASSWORD": str(layout.database_password)} if real.postgres else {}
    return ServiceSpec(
        name="apexflow",
        plays="ApexFlow, on PostgreSQL" if real.postgres else "ApexFlow and its database: SQLite",
        kind="stand-in",
        launch=replace(launch, environment_files=files),
        ready=f"{local_url(ports.apexflow)}/health",
        address=local_url(ports.apexflow),
        ports=(ports.apexflow,),
        needs=("kafka", "apexflow-db") if real.postgres else ("kafka",),
        follows=() if real.kafka else ("kafka",),
    )


def _kafka(layout: Layout, ports: Ports) -> ServiceSpec:
    options = ["--bootstrap-file", str(layout.bootstrap), "--control-port", str(ports.kafka_control)]
    for topic in TOPICS:
        options += ["--topic", f"{topic}:{PARTITIONS}"]
    return ServiceSpec(
        name="kafka",
        plays="Kafka: librdkafka's mock cluster",
        kind="stand-in",
        launch=replace(_stand_in(layout, "broker", *options), announced_by=str(layout.bootstrap)),
        ready=layout.bootstrap.as_uri(),
        address="",  # its own choice, written into the bootstrap file
        ports=(ports.kafka_control,),
    )


def _sink(layout: Layout, ports: Ports, real: Programs) -> ServiceSpec:
    """Return the service. Its journal is in PostgreSQL with every message, or in a file with the counts."""
    files = {"KAFKA_BOOTSTRAP": layout.bootstrap} | ({"SINK_JOURNAL": layout.journal_dsn} if real.postgres else {})
    journal = (
        {"SINK_JOURNAL_EVENTS": "rows"} if real.postgres else {"SINK_JOURNAL": f"sqlite:{layout.data / 'sink.sqlite'}"}
    )
    environment = {
        "GROUP_ID": "crm-events-sink",
        "TOPICS": ",".join(TOPICS),
        "PROM_PORT": str(ports.sink_metrics),
        "HTTP_PORT": str(ports.sink_http),
        "SINK_BIND": "127.0.0.1",
        **journal,
    }
    launch = _python(layout, "sink", **environment)
    return ServiceSpec(
        name="crm-events-sink",
        plays="CRM events sink",
        kind="real",
        launch=replace(launch, environment_files={variable: str(path) for variable, path in files.items()}),
        detail="journal in PostgreSQL" if real.postgres else "",
        ready=f"{local_url(ports.sink_http)}/readyz",
        address=f"{local_url(ports.sink_metrics)}/metrics",
        ports=(ports.sink_metrics, ports.sink_http),
        needs=("kafka", "apexflow-db") if real.postgres else ("kafka",),
    )


def _with_a_short_session(sink: ServiceSpec) -> ServiceSpec:
    """When its last member has left, the mock broker lets the next one in only after the session's time."""
    session = {"KAFKA_SESSION_TIMEOUT_MS": "3000", "KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
    launch = replace(sink.launch, environment={**sink.launch.environment, **session})
    return replace(
        sink,
        launch=launch,
        detail="; ".join(filter(None, ("session of 3 s (production: 10 s)", sink.detail))),
        follows=("kafka",),
    )


def _prometheus(layout: Layout, ports: Ports, tools: Tools) -> ServiceSpec:
    command = (
        str(tools.prometheus),
        f"--config.file={layout.monitoring / 'prometheus.yml'}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        "--web.enable-lifecycle",
    )
    return ServiceSpec(
        name="prometheus",
        plays="Prometheus",
        kind="real",
        launch=Launch(command=command, directory=str(tools.home), environment=inherited()),
        ready=f"{local_url(ports.prometheus)}/-/ready",
        address=local_url(ports.prometheus),
        ports=(ports.prometheus,),
        detail=FASTER,
    )


def _alertmanager(layout: Layout, ports: Ports, tools: Tools) -> ServiceSpec:
    command = (
        str(tools.alertmanager),
        f"--config.file={layout.monitoring / 'alertmanager.yml'}",
        f"--storage.path={layout.data / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
        "--cluster.listen-address=",  # alone: no port for peers
    )
    return ServiceSpec(
        name="alertmanager",
        plays="Alertmanager",
        kind="real",
        launch=Launch(command=command, directory=str(tools.home), environment=inherited()),
        ready=f"{local_url(ports.alertmanager)}/-/ready",
        address=local_url(ports.alertmanager),
        ports=(ports.alertmanager,),
    )


def _grafana(layout: Layout, ports: Ports) -> ServiceSpec:
    options = ("--port", str(ports.grafana), "--provisioning", str(layout.monitoring / "grafana/provisioning"))
    return ServiceSpec(
        name="grafana",
        plays="Grafana: its HTTP API",
        kind="stand-in",
        launch=_stand_in(layout, "grafana", *options, GF_SECURITY_ADMIN_PASSWORD="admin"),  # noqa: S106 - the runbook names it
        ready=f"{local_url(ports.grafana)}/api/health",
        address=local_url(ports.grafana),
        ports=(ports.grafana,),
        needs=("prometheus",),
    )


def _stand_in(layout: Layout, name: str, *options: str, **environment: str) -> Launch:
    return _python(layout, f"runbook.local_stack.fakes.{name}", *options, **environment)


def _python(layout: Layout, module: str, *options: str, **environment: str) -> Launch:
    """Start a module of this installation from the stack's folder, so that no file of the checkout shadows another."""
    return Launch(
        command=(sys.executable, "-m", module, *options),
        directory=str(layout.root),
        environment={**inherited(), **environment},
    )
