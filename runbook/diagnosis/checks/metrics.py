"""Hop metrics: the sink's page that Prometheus scrapes."""

from runbook.diagnosis import boundaries
from runbook.diagnosis.answers import WRONG_ANSWER, after, answer_checks, but_answers
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import UnreachableError
from runbook.model import Evidence


@but_answers
def _answers(facts: Facts) -> Finding:
    mine = facts.target.sink
    try:
        return Ok((_page(facts),))
    except UnreachableError as error:
        if error.reason == "dns":
            fix = f"correct the host name in {mine.place_of('metrics_url')}, or let this host resolve it"
        else:
            fix = f"correct the sink's PROM_PORT, then {facts.recreate_command(mine.as_service)}"
        return broken(saw(error.where, error.seen), fix=fix)


def _page(facts: Facts) -> Evidence:
    page = facts.page()
    said = f"{len(page.counters)} series of the counter{after(facts, page.took_s)}"
    return saw(f"GET {facts.target.sink.metrics_url}", said)


CHECKS = (
    Check(
        code="S_METRICS_DOWN",
        hop="metrics",
        claim="The sink's metrics page answers",
        diagnosis="The sink runs, but its metrics page does not answer",
        sign="the sink's state is running, and its page is refused, timed out or not resolved",
        fix="{fix}",
        needs=("sink.CTR_EXITED",),
        unless=("sink.WRONG_NETWORK", "sink.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    *answer_checks("metrics", _page, (WRONG_ANSWER,), needs="S_METRICS_DOWN"),
    boundary_check(
        "LOSS_KAFKA_SINK",
        "metrics",
        boundaries.kafka_sink,
        between="Kafka and the sink",
        sign="between two positions of the sink, Kafka holds other messages than were counted and rejected",
        log_of=lambda facts: facts.target.sink.as_service,
        needs=("Q_ZOMBIE", "metrics.WRONG_ANSWER"),
    ),
)
