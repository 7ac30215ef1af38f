"""What the runtime knows of a service that its port cannot tell: missing, frozen, starting over and over, ended.

A service that the runtime does not know, or cannot be asked about, is known by its answer: what answers runs.
"""

from collections.abc import Callable

from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import has_ended, log_command, said, sink, start_command
from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.model import Evidence
from runbook.systems.runtime import Service, ServiceState

_SIGNALS = {137: " (SIGKILL)", 143: " (SIGTERM)"}

ServiceOf = Callable[[Facts], Service]
Answer = Callable[[Facts], Evidence]
Test = Callable[[ServiceState], bool]


def container_checks(hop: str, who: str, service: ServiceOf, answer: Answer) -> tuple[Check[Facts], ...]:
    """Return the checks of one service. CTR_EXITED is what other checks of the flow need; none needs CTR_UNHEALTHY."""

    def check(code: str, claim: str, need: str, test: Test) -> Check[Facts]:
        def run(facts: Facts) -> Finding:
            return _judged(facts, code, service(facts), answer, test)

        return Check(code=code, hop=hop, claim=f"{who} {claim}", needs=(need,), run=run)

    def is_missing(facts: Facts) -> Finding:
        return _found(facts, service(facts), answer)

    return (
        Check(code="CTR_MISSING", hop=hop, claim=f"{who} is there", needs=("DOCKER_DOWN",), run=is_missing),
        check("CTR_OOM", "has the memory that it needs", f"{hop}.CTR_MISSING", lambda state: state.oom_killed),
        check("CTR_PAUSED", "is not frozen", f"{hop}.CTR_OOM", lambda state: state.status == "paused"),
        check("CTR_LOOP", "stays up", f"{hop}.CTR_PAUSED", lambda state: state.status == "restarting"),
        check("CTR_EXITED", "runs", f"{hop}.CTR_LOOP", has_ended),
        Check(
            code="CTR_UNHEALTHY",
            hop=hop,
            claim=f"{who}'s own health check does not fail",
            needs=(f"{hop}.CTR_EXITED",),
            run=lambda facts: _healthy(facts, service(facts), answer),
        ),
    )


def _found(facts: Facts, service: Service, answer: Answer) -> Finding:
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    if state.found:
        return Ok((said(service, state),))
    try:
        return Ok((said(service, state), answer(facts)))
    except RunbookError as error:
        nearest = ", ".join(state.nearest) or "none"
        start = start_command(facts, service)
        seen = (said(service, state), saw(error.where, error.seen))
        return broken("CTR_MISSING", *seen, name=service.name, nearest=nearest, start=start)


def _judged(facts: Facts, code: str, service: Service, answer: Answer, test: Test) -> Finding:
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    if test(state):
        left = "" if state.exit_code is None else f" with code {state.exit_code}{_SIGNALS.get(state.exit_code, '')}"
        start, log = start_command(facts, service), log_command(facts, service)
        return broken(code, said(service, state), name=service.name, exit_code=left, start=start, log=log)
    return Ok((said(service, state),))


def _healthy(facts: Facts, service: Service, answer: Answer) -> Finding:
    """Tell a service that is not well from a probe that cannot be run, which says nothing of the service."""
    try:
        state = facts.state(service)
    except UnreachableError as error:
        return _known_by_its_answer(facts, answer, error)
    seen = saw(f"health of {service.name}", state.health or "no health check")
    if state.health != "unhealthy":
        return Ok((seen,))
    probe, log = saw(f"its last probe in {state.name}", state.probe_said or "no words"), log_command(facts, service)
    if state.probe_is_missing:
        why, fix = ": its program is not in the image", "correct `healthcheck:`, recreate it; the service may be well"
    else:
        why, fix = "", f"{log}: its last lines name the cause"
    return broken("CTR_UNHEALTHY", seen, probe, name=service.name, why=why, fix=fix)


def _known_by_its_answer(facts: Facts, answer: Answer, error: UnreachableError) -> Finding:
    try:
        return Ok((answer(facts),))
    except RunbookError:
        return NotChecked(error.seen, where=error.where, fix=error.fix)


def _runtime_answers(facts: Facts) -> Finding:
    """Ask the runtime only when no service answers: else it is up, whether it talks to us or not."""
    answering = _who_answers(facts)
    if answering:
        return Ok((saw(answering, "answers"),))
    try:
        return Ok((said(sink(facts), facts.state(sink(facts))),))
    except UnreachableError as error:
        nobody = saw("Keycloak, sink, Prometheus, Grafana, Alertmanager", "none of them answers")
        return broken("DOCKER_DOWN", saw(error.where, error.seen), nobody, fix=error.fix)


def _who_answers(facts: Facts) -> str:
    """Return the name of a service that answers anything at all, or nothing."""
    questions: dict[str, Callable[[], object]] = {
        "Keycloak": facts.realm,
        "the sink": facts.page,
        "Prometheus": facts.prometheus_ready,
        "Grafana": facts.grafana_health,
        "Alertmanager": facts.alertmanager_ready,
    }
    for name, question in questions.items():
        try:
            question()
        except AnswerError:
            return name
        except UnreachableError:
            continue
        return name
    return ""


CHECKS = (Check(code="DOCKER_DOWN", hop="runtime", claim="What runs the services answers", run=_runtime_answers),)
