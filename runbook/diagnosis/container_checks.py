"""What the runtime knows of a service that its port cannot tell: missing, paused, starting over and over, ended.

A service that the runtime does not know, or cannot be asked about, is known by its answer: what answers runs, wherever
that is. So does one that answers while a container of its name is stopped: something else stands in its place. A proxy
that answers 502, 503 or 504 for it does not.
"""

from collections.abc import Callable
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import ServiceOf, heard, is_here, port_check, served
from runbook.diagnosis.service_state import last_words, state_seen
from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.systems.runtime import Service, ServiceState

_SIGNALS: Final = {137: " (SIGKILL)", 143: " (SIGTERM)"}
_NOT_ENDED: Final = {
    "created": "was created and never started",
    "removing": "is being removed",
    "dead": "is dead: it can only be removed",
}
_STOPS: Final = ("CTR_MISSING", "CTR_OOM", "CTR_PAUSED", "CTR_LOOP", "CTR_EXITED")
_MIB: Final = 1024 * 1024

Answer = Callable[[Facts], Evidence]
Cause = Callable[[Facts], tuple[Evidence, str] | None]
"""Returns what keeps a service from starting, as evidence, and what has to be done about it before a start."""


def stops(hop: str) -> tuple[str, ...]:
    """Return the checks of a hop's container that explain why it does not answer, for `unless`."""
    return tuple(f"{hop}.{code}" for code in _STOPS)


def server_checks(
    hop: str,
    who: str,
    service: ServiceOf,
    url: Callable[[Facts], str],
    ask: Callable[[Facts], object],
    *unless: str,
    cause: "Cause" = lambda _: None,
) -> tuple[Check[Facts], ...]:
    """Return the checks of a service that this host asks at `url`: of its container, and of its port.

    `ask` raises UnreachableError if it is not reached; `unless` are checks that explain why its port is not.
    """
    of_container = container_checks(
        hop,
        who,
        service,
        lambda facts: heard(facts, url(facts), ask),
        is_here=lambda facts: is_here(facts, url(facts)),
        in_its_place=lambda facts: served(facts, url(facts), ask),
        cause=cause,
    )
    return (*of_container, port_check(hop, who, service, url, ask, *unless))


def container_checks(
    hop: str,
    who: str,
    service: ServiceOf,
    answer: Answer,
    *,
    is_here: Callable[[Facts], bool],
    in_its_place: Answer | None = None,
    cause: Cause = lambda _: None,
) -> tuple[Check[Facts], ...]:
    """Return the checks of one service. CTR_EXITED is what other checks of the flow need; none needs CTR_UNHEALTHY.

    `answer` raises RunbookError where the service is silent. `is_here` says whether a silent one that the runtime does
    not know ought to be there, by more than a default name. `in_its_place` is the `answer` that clears a stopped one.
    """

    def judged(test: Callable[[ServiceState], bool], fix: "Fix") -> Callable[[Facts], Finding]:
        def run(facts: Facts) -> Finding:
            one = service(facts)
            found = _stopped(facts, one, answer, in_its_place or answer, test)
            return _told(facts, one, found, fix, cause) if isinstance(found, ServiceState) else found

        return run

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
            run=lambda facts: _found(facts, service(facts), answer, is_here),
        ),
        Check(
            code="CTR_OOM",
            hop=hop,
            claim=f"{who} has the memory that it needs",
            diagnosis="{name} was killed for its use of memory",
            sign="it has ended with SIGKILL, and the engine says OOMKilled",
            fix="{fix}",
            of_runtime=True,
            needs=(f"{hop}.CTR_MISSING",),
            run=judged(lambda state: state.out_of_memory, _more_memory),
        ),
        Check(
            code="CTR_PAUSED",
            hop=hop,
            claim=f"{who} is not paused",
            diagnosis="{name} is paused",
            sign="its state is paused: it accepts connections and answers none",
            fix="{fix}",
            of_runtime=True,
            needs=(f"{hop}.CTR_OOM",),
            run=judged(lambda state: state.status == "paused", _resumed),
        ),
        Check(
            code="CTR_LOOP",
            hop=hop,
            claim=f"{who} stays up",
            diagnosis="{name} starts again and again",
            sign="over some seconds its state stays restarting, or its count of restarts grows",
            fix="{fix}",
            of_runtime=True,
            needs=(f"{hop}.CTR_PAUSED",),
            run=judged(lambda state: state.status == "restarting", _corrected),
        ),
        Check(
            code="CTR_EXITED",
            hop=hop,
            claim=f"{who} runs",
            diagnosis="{name} {ended}",
            sign="in two looks its state is exited, created (never started), dead or removing",
            fix="{fix}",
            of_runtime=True,
            needs=(f"{hop}.CTR_LOOP",),
            run=judged(lambda state: state.is_stopped, _started),
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


def _found(facts: Facts, service: Service, answer: Answer, is_here: Callable[[Facts], bool]) -> Finding:
    try:
        state = facts.state(service)
    except RunbookError as error:
        return _known_by_its_answer(facts, answer, error)
    if state.found:
        return Ok((state_seen(service, state),))
    seen = state_seen(service, state)
    try:
        return Ok((seen, answer(facts)))
    except RunbookError as error:
        if not (service.is_named or is_here(facts)):
            fix = f"set {service.setting} to its container, if it has one here"
            return NotChecked(f"{seen.saw}; {error.seen}: it may run elsewhere", where=seen.source, fix=fix)
        nearest, start = ", ".join(state.nearest) or "none", facts.start_command(service)
        return broken(seen, saw(error.where, error.seen), name=service.name, nearest=nearest, start=start)


def _stopped(
    facts: Facts, service: Service, answer: Answer, in_its_place: Answer, test: Callable[[ServiceState], bool]
) -> Finding | ServiceState:
    """Return the state of a silent service that the test is about, or else the finding that it is not in it."""
    try:
        state = facts.state(service)
    except RunbookError as error:
        return _known_by_its_answer(facts, answer, error)
    seen = state_seen(service, state)
    if not test(state):
        return Ok((seen,))
    if state.status != "restarting":  # one that starts again and again answers now and then
        try:
            return Ok((seen, in_its_place(facts)))
        except RunbookError:
            pass
    return state


def _told(facts: Facts, service: Service, state: ServiceState, fix: "Fix", cause: Cause) -> Finding:
    found = None if state.status == "paused" else cause(facts)
    words = (found[0],) if found else last_words(facts, service, state)
    told = f"{found[1]}, then {facts.start_command(service)}" if found else fix(facts, service, state, words)
    return broken(state_seen(service, state), *words, name=service.name, ended=_ended(state), fix=told)


Fix = Callable[[Facts, Service, ServiceState, tuple[Evidence, ...]], str]
"""Returns what to do about a state; its last line, if any, is among the evidence."""


def _more_memory(facts: Facts, service: Service, state: ServiceState, _: tuple[Evidence, ...]) -> str:
    start = facts.start_command(service)
    if not state.memory_limit:
        return f"give the engine's host more memory, then {start}"
    limit = f"{state.memory_limit / _MIB:.4g} MiB"
    return f"{start}; and raise its limit of {limit} in its compose file"


def _resumed(facts: Facts, service: Service, _: ServiceState, __: tuple[Evidence, ...]) -> str:
    return facts.start_command(service)


def _corrected(facts: Facts, service: Service, _: ServiceState, words: tuple[Evidence, ...]) -> str:
    log = facts.log_command(service)
    if not words:
        return f"{log}: its last lines name the cause"
    return f"correct what its last line says, then {facts.start_command(service)}; the lines before it: {log}"


def _started(facts: Facts, service: Service, state: ServiceState, words: tuple[Evidence, ...]) -> str:
    start = facts.start_command(service)
    if state.error:
        return f"correct what kept it from starting, then {start}"
    return f"{start}; if it ends again, correct what its last line says" if words else start


def _ended(state: ServiceState) -> str:
    if state.status in _NOT_ENDED:
        return _NOT_ENDED[state.status]
    if state.exit_code is None:
        return "has exited with an unknown code"
    return f"has exited with code {state.exit_code}{_SIGNALS.get(state.exit_code, '')}"


def _healthy(facts: Facts, service: Service, answer: Answer) -> Finding:
    """Tell a service that is not well from a probe that cannot be run, which says nothing of the service."""
    try:
        state = facts.state(service)
    except RunbookError as error:
        return _known_by_its_answer(facts, answer, error)
    seen = saw(f"health of {service.name}", state.health or "no health check")
    if not (state.is_running and state.health == "unhealthy"):
        return Ok((seen,))
    probe = saw(f"its last probe in {state.name}", state.probe_said or "no output")
    if state.probe_is_missing:
        why = "the program of its health check is not in the image"
        fix = f"correct `healthcheck:`, then {facts.recreate_command(service)}; the service may be well"
    else:
        why, fix = "its health check fails", f"{facts.log_command(service)}: its last lines name the cause"
    return broken(seen, probe, name=service.name, why=why, fix=fix)


def _known_by_its_answer(facts: Facts, answer: Answer, error: RunbookError) -> Finding:
    try:
        return Ok((answer(facts),))
    except RunbookError:
        return NotChecked(error.seen, where=error.where, fix=error.fix)
