"""What the runtime says of a service, as evidence and as the finding that a service does not answer."""

from runbook.diagnosis.check import Broken, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.systems.runtime import Service, ServiceState


def down(facts: Facts, service: Service, *evidence: Evidence) -> Broken:
    """Return the finding that a service does not answer, with its state; fills in `{start}`."""
    return broken(*evidence, *state_evidence(facts, service), start=facts.start_command(service))


def state_evidence(facts: Facts, service: Service) -> tuple[Evidence, ...]:
    """Return what the runtime says of a service; nothing when it knows nothing."""
    try:
        state = facts.state(service)
    except RunbookError:
        return ()
    return (state_seen(service, state),) if state.found else ()


def state_seen(service: Service, state: ServiceState) -> Evidence:
    """Return the state of a service in the runtime's own words."""
    if not state.found:
        nearest = f"; closest: {', '.join(state.nearest)}" if state.nearest else ""
        return saw(f"state of {service.name}", f"no such service{nearest}")
    code = "" if state.exit_code is None else f", exit code {state.exit_code}"
    return saw(f"state of {service.name}", f"{state.status}{code}{', out of memory' if state.oom_killed else ''}")


def is_known_to_have_ended(facts: Facts, service: Service) -> bool:
    """Say whether the runtime saw it end; False when the runtime cannot be asked."""
    try:
        return facts.state(service).has_ended
    except RunbookError:
        return False
