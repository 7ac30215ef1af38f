"""The containers of the Docker stack by name, and whether each of them is ready."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from runbook.errors import RunbookError, WaitError
from runbook.invocation import inv
from runbook.local_stack.engine import docker
from runbook.local_stack.kafka import create_topics
from runbook.local_stack.readiness import missing_for
from runbook.local_stack.service_spec import TOPICS, local_url
from runbook.observer import Observer
from runbook.waiting import Pending, wait_until

SERVICES: Final[Mapping[str, str]] = {
    "prometheus": "aether-prom",
    "alertmanager": "aether-alertmanager",
    "grafana": "aether-grafana",
    "kafka": "kafka",
    "keycloak": "aether-keycloak",
    "traefik": "aether-traefik",
    "gateway": "aether-gateway",
    "apexflow": "aether-apexflow",
    "crm-events-sink": "aether-crm-events-sink",
}
"""Compose service -> container. Nobody asks the exporter: it is not started."""

DATABASE: Final[Mapping[str, str]] = {"apexflow-db": "aether-apexflow-db"}
"""The same for PostgreSQL: ApexFlow's database, and the sink's journal."""

NAMES: Final = {**SERVICES, **DATABASE}
_READY_S: Final = 180.0
_LOG_LINES: Final = "15"

Ports = Mapping[str, int]
Probe = Callable[[], str]


def probes(ports: Ports) -> dict[str, Probe]:
    """Return for each service what says why it is not ready; nobody asks those that are published nowhere."""
    addresses = {
        "keycloak": f"{local_url(ports['KEYCLOAK'])}/realms/aetherlink",
        "traefik": f"tcp://127.0.0.1:{ports['TRAEFIK']}",
        "crm-events-sink": f"{local_url(ports['SINK_HTTP'])}/readyz",
        "alertmanager": f"{local_url(ports['ALERTMANAGER'])}/-/ready",
        "prometheus": f"{local_url(ports['PROMETHEUS'])}/-/ready",
        "grafana": f"{local_url(ports['GRAFANA'])}/api/health",
    }
    return {
        "kafka": partial(_missing_topics, f"127.0.0.1:{ports['KAFKA']}"),
        "apexflow-db": _missing_login,
        **{name: partial(missing_for, address) for name, address in addresses.items()},
    }


def _missing_topics(address: str) -> str:
    """Say what keeps the broker from having the topics, or nothing: the sink, a consumer, creates none."""
    missing = missing_for(f"kafka://{address}")
    if not missing:
        create_topics(address, TOPICS)
    return missing


def _missing_login() -> str:
    """Say what keeps the database from taking logins, or nothing; it is published nowhere, so it is asked inside."""
    try:
        docker("exec", NAMES["apexflow-db"], "pg_isready", "--quiet", "--host", "127.0.0.1")
    except RunbookError as error:
        return error.seen
    return ""


def await_containers(probes: Mapping[str, Probe], observer: Observer) -> None:
    """Return once no probe says anything. Raises RunbookError that names each container that did not come up."""
    missing = dict(probes)

    def look() -> Pending | None:
        for service, probe in tuple(missing.items()):
            if not probe():
                del missing[service]
                observer.says(f"{NAMES[service]} answers")
        return Pending(", ".join(NAMES[service] for service in missing)) if missing else None

    try:
        wait_until(look, what="The Docker stack", deadline_s=_READY_S, every_s=0.2, where="127.0.0.1", fix="")
    except WaitError:
        raise _did_not_come(missing) from None


def _did_not_come(missing: Mapping[str, Probe]) -> RunbookError:
    """Name the services that are missing, each with the last words of its container."""
    words = {NAMES[service]: _words(NAMES[service], probe) for service, probe in missing.items()}
    seen = (f"{name} did not come up within {_READY_S:g} s: {said}" for name, said in words.items())
    logs = ", ".join(f"docker logs {name}" for name in words)
    return RunbookError(
        "\n".join(seen),
        where=", ".join(f"container {name}" for name in words),
        fix=f"{logs}; then {inv('stack.up --docker')}, which starts what is missing: the other containers run on",
    )


def _words(name: str, probe: Probe) -> str:
    words = docker("logs", "--tail", _LOG_LINES, name, with_errors=True).rstrip()
    return f"{probe()}\n{words or '  (its log is empty)'}"
