"""Hop runtime: what runs the services. The state of each service is looked at in that service's own hop."""

from collections.abc import Callable
from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import state_seen
from runbook.errors import AnswerError, ProtocolError, UnreachableError

_ASKED: Final[tuple[tuple[str, Callable[[Facts], object]], ...]] = (
    ("Keycloak", Facts.realm),
    ("the sink", Facts.page),
    ("Prometheus", Facts.prometheus_ready),
    ("Grafana", Facts.grafana_health),
    ("Alertmanager", Facts.alertmanager_ready),
)


def _answers(facts: Facts) -> Finding:
    """Ask the runtime only when no service answers: else it is up, whether it talks to us or not."""
    answering, sink = _who_answers(facts), facts.target.sink.as_service
    if answering:
        return Ok((saw(answering, "answers"),))
    try:
        return Ok((state_seen(sink, facts.state(sink)),))
    except UnreachableError as error:
        nobody = saw("Keycloak, the sink, Prometheus, Grafana, Alertmanager", "none of them answers")
        return broken(saw(error.where, error.seen), nobody, fix=error.fix)


def _who_answers(facts: Facts) -> str:
    """Return the name of a service that answers anything at all, or nothing."""
    for name, ask in _ASKED:
        try:
            ask(facts)
        except (UnreachableError, ProtocolError) as error:
            if isinstance(error, UnreachableError) or error.is_of_a_proxy:
                continue
        except AnswerError:
            pass
        return name
    return ""


CHECKS = (
    Check(
        code="DOCKER_DOWN",
        hop="runtime",
        claim="What runs the services answers",
        diagnosis="Docker does not answer, nor does any service",
        sign="no service answers, and the engine cannot be reached",
        fix="{fix}",
        run=_answers,
        of_runtime=True,
    ),
)
