"""Hop metrics: the sink's page that Prometheus scrapes."""

from runbook.diagnosis import boundaries
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import RunbookError


def _answers(facts: Facts) -> Finding:
    mine = facts.target.sink
    try:
        page = facts.page()
    except RunbookError as error:
        return broken(saw(error.where, error.seen), recreate=facts.recreate_command(mine.as_service))
    return Ok((saw(f"GET {mine.metrics_url}", f"{len(page.counters)} series of the counter"),))


CHECKS = (
    Check(
        code="S_METRICS_DOWN",
        hop="metrics",
        claim="The sink's metrics page answers",
        diagnosis="The sink runs, but its metrics page does not answer",
        sign="the sink's state is running, and its page is refused",
        fix="correct the sink's PROM_PORT, then {recreate}",
        needs=("sink.CTR_EXITED",),
        unless=("sink.WRONG_NETWORK", "sink.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    boundary_check(
        "LOSS_KAFKA_SINK",
        "metrics",
        boundaries.kafka_sink,
        between="Kafka and the sink",
        sign="between two positions of the sink, Kafka holds other messages than were counted and rejected",
        log_of=lambda facts: facts.target.sink.as_service,
        needs=("Q_ZOMBIE", "S_METRICS_DOWN"),
    ),
)
