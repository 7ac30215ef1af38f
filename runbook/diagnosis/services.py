"""What every hop asks of its service: whether it runs, and how an operator starts it."""

from runbook.diagnosis.engine import Broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.systems.runtime import Service, ServiceState

_ENDED = frozenset({"exited", "dead"})


def keycloak(facts: Facts) -> Service:
    """Return who issues the tokens."""
    return facts.target.keycloak.as_service


def broker(facts: Facts) -> Service:
    """Return the Kafka broker."""
    return facts.target.kafka.as_service


def sink(facts: Facts) -> Service:
    """Return the sink."""
    return facts.target.sink.as_service


def prometheus(facts: Facts) -> Service:
    """Return Prometheus."""
    return facts.target.prometheus.as_service


def grafana(facts: Facts) -> Service:
    """Return Grafana."""
    return facts.target.grafana.as_service


def alertmanager(facts: Facts) -> Service:
    """Return Alertmanager."""
    return facts.target.alertmanager.as_service


def start_command(facts: Facts, service: Service) -> str:
    """Return the command that starts it, also when the runtime itself cannot be asked."""
    try:
        return facts.runtime.start_command(service)
    except RunbookError:
        return f"docker start {service.container}"


def restart_command(facts: Facts, service: Service) -> str:
    """Return the command that restarts it: `docker start` does nothing to a running container."""
    if facts.target.runtime.kind == "processes":
        return "inv stack.down, then inv stack.up"
    return f"docker restart {service.container}"


def log_command(facts: Facts, service: Service) -> str:
    """Return the command that shows its last lines."""
    try:
        return facts.runtime.log_command(service)
    except RunbookError:
        return f"docker logs --tail 100 {service.container}"


def has_ended_for_sure(facts: Facts, service: Service) -> bool:
    """Say whether the runtime saw it end; False when the runtime cannot be asked."""
    try:
        return has_ended(facts.state(service))
    except RunbookError:
        return False


def has_ended(state: ServiceState) -> bool:
    """Say whether the runtime knows the service and saw it end."""
    return state.found and state.status in _ENDED


def state_evidence(facts: Facts, service: Service) -> tuple[Evidence, ...]:
    """Return what the runtime says of a service; nothing when it knows nothing."""
    try:
        state = facts.state(service)
    except RunbookError:
        return ()
    return (said(service, state),) if state.found else ()


def down(facts: Facts, code: str, service: Service, *evidence: Evidence) -> Broken:
    """Return the finding that a service does not answer, with its state."""
    return broken(code, *evidence, *state_evidence(facts, service), start=start_command(facts, service))


def said(service: Service, state: ServiceState) -> Evidence:
    """Return the state of a service in the runtime's own words."""
    if not state.found:
        nearest = f"; closest: {', '.join(state.nearest)}" if state.nearest else ""
        return saw(f"state of {service.name}", f"no such service{nearest}")
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    return saw(f"state of {service.name}", f"{state.status}{code}{', out of memory' if state.oom_killed else ''}")
