"""What the runtime knows of a service that its port cannot tell: missing, paused, starting over and over, ended.

A service that the runtime does not know, or cannot be asked about, is known by its answer: what answers runs.
"""

from collections.abc import Callable
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import state_seen
from runbook.errors import RunbookError, UnreachableError
from runbook.model import Evidence
from runbook.systems.runtime import Service, ServiceState

_SIGNALS: Final = {137: " (SIGKILL)", 143: " (SIGTERM)"}

ServiceOf = Callable[[Facts], Service]
Answer = Callable[[Facts], Evidence]
Test = Callable[[ServiceState], bool]


def container_checks(hop: str, who: str, service: ServiceOf, answer: Answer) -> tuple[Check[Facts], ...]:
    """Return the checks of one service. CTR_EXITED is what other checks of the flow need; none needs CTR_UNHEALTHY."""

    def passes(test: Test) -> Callable[[Facts], Finding]:
        return lambda facts: _judged(facts, service(facts), answer, test)

    return (
        Check(
            code="CTR_MISSING",
            hop=hop,
            claim=f"{who} is there",
            diagnosis="There is no service {name} (closest: {nearest})",
            sign="neither its compose service nor its container is there, and nothing answers in its place",
            fix="{start}",
            of_runtime=True,
            needs=("DOCKER_DOWN",),
            run=lambda facts: _found(facts, service(facts), answer),
        ),
        Check(
            code="CTR_OOM",
            hop=hop,
            claim=f"{who} has the memory that it needs",
            diagnosis="{name} was killed for its use of memory",
            sign="the engine says OOMKilled",
            fix="raise its memory limit, then {start}",
            of_runtime=True,
            needs=(f"{hop}.CTR_MISSING",),
            run=passes(lambda state: state.oom_killed),
        ),
        Check(
            code="CTR_PAUSED",
            hop=hop,
            claim=f"{who} is not paused",
            diagnosis="{name} is paused",
            sign="its state is paused: it accepts connections and answers none",
            fix="{start}",
            of_runtime=True,
            needs=(f"{hop}.CTR_OOM",),
            run=passes(lambda state: state.status == "paused"),
        ),
        Check(
            code="CTR_LOOP",
            hop=hop,
            claim=f"{who} stays up",
            diagnosis="{name} starts again and again",
            sign="its state is restarting",
            fix="{log}: its last lines name the cause",
            of_runtime=True,
            needs=(f"{hop}.CTR_PAUSED",),
            run=passes(lambda state: state.status == "restarting"),
        ),
        Check(
            code="CTR_EXITED",
            hop=hop,
            claim=f"{who} runs",
            diagnosis="{name} has exited with {exit_code}",
            sign="its state is exited or dead",
            fix="{start}",
            of_runtime=True,
            needs=(f"{hop}.CTR_LOOP",),
            run=passes(lambda state: state.has_ended),
        ),
        Check(
            code="CTR_UNHEALTHY",
            hop=hop,
            claim=f"{who}'s own health check does not fail",
            diagnosis="{name} is unhealthy: {why}",
            sign="the engine says unhealthy; the last probe says whether its own program is missing",
            fix="{fix}",
            of_runtime=True,
            needs=(f"{hop}.CTR_EXITED",),
            told="after_flow",
            run=lambda facts: _healthy(facts, service(facts), answer),
        ),
    )


def _found(facts: Facts, service: Service, answer: Answer) -> Finding:
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    if state.found:
        return Ok((state_seen(service, state),))
    try:
        return Ok((state_seen(service, state), answer(facts)))
    except RunbookError as error:
        nearest, start = ", ".join(state.nearest) or "none", facts.start_command(service)
        seen = (state_seen(service, state), saw(error.where, error.seen))
        return broken(*seen, name=service.name, nearest=nearest, start=start)


def _judged(facts: Facts, service: Service, answer: Answer, test: Test) -> Finding:
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    seen = state_seen(service, state)
    if not test(state):
        return Ok((seen,))
    start, log = facts.start_command(service), facts.log_command(service)
    return broken(seen, name=service.name, exit_code=_exit_code(state), start=start, log=log)


def _exit_code(state: ServiceState) -> str:
    if state.exit_code is None:
        return "an unknown code"
    return f"code {state.exit_code}{_SIGNALS.get(state.exit_code, '')}"


def _healthy(facts: Facts, service: Service, answer: Answer) -> Finding:
    """Tell a service that is not well from a probe that cannot be run, which says nothing of the service."""
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    seen = saw(f"health of {service.name}", state.health or "no health check")
    if state.health != "unhealthy":
        return Ok((seen,))
    probe = saw(f"its last probe in {state.name}", state.probe_said or "no output")
    if state.probe_is_missing:
        why = "the program of its health check is not in the image"
        fix = f"correct `healthcheck:`, then {facts.recreate_command(service)}; the service may be well"
    else:
        why, fix = "its health check fails", f"{facts.log_command(service)}: its last lines name the cause"
    return broken(seen, probe, name=service.name, why=why, fix=fix)


def _known_by_its_answer(facts: Facts, answer: Answer, error: UnreachableError) -> Finding:
    try:
        return Ok((answer(facts),))
    except RunbookError:
        return NotChecked(error.seen, where=error.where, fix=error.fix)
