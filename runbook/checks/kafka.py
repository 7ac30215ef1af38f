"""Hops kafka, sink and metrics: the broker, who reads from it, and the page that is scraped."""

from datetime import timedelta

from runbook.checks.containers import container_checks
from runbook.checks.engine import Check, Finding, NotChecked, Ok
from runbook.checks.facts import Facts, now, saw
from runbook.checks.faults import broken
from runbook.checks.services import down, log_command, restart_command
from runbook.clients.runtime import Service
from runbook.errors import RunbookError, UnreachableError
from runbook.model import Evidence

_LISTENS = "Listening to topics"
_TIME_TO_JOIN = timedelta(seconds=60)


def _broker_answers(facts: Facts) -> Finding:
    mine = facts.target.kafka
    try:
        cluster = facts.cluster()
    except UnreachableError as error:
        service = Service(name=mine.service, container=mine.container)
        return down(facts, "Q_DOWN", service, saw(error.where, error.seen))
    return Ok((saw(f"Kafka at {mine.bootstrap}", f"brokers {', '.join(cluster.brokers)}"),))


def _sink_answer(facts: Facts) -> Evidence:
    return saw(f"GET {facts.target.sink.metrics_url}", f"{facts.page().size_bytes} bytes, so it runs")


def _sink_listens(facts: Facts) -> Finding:
    """Proven by a member of the group, by having read everything, or by the start-up line: any one of them."""
    group = facts.group()
    if group is not None:
        name = f"group {facts.target.kafka.group}"
        seen = saw(name, f"{group.state}, {len(group.members)} members")
        if group.members:
            return Ok((seen,))
        return _empty_group(facts, seen)
    unread = facts.topics().unread
    if unread == 0:
        return Ok((saw("offsets of the sink", "every event is read"),))
    return _started_listening(facts, unread)


def _empty_group(facts: Facts, seen: Evidence) -> Finding:
    started_at = facts.state(_sink(facts)).started_at
    if started_at is None or now() - started_at < _TIME_TO_JOIN:
        return NotChecked(f"{seen.saw}; the sink has had no time to join yet", where=seen.source)
    return broken("Q_ZOMBIE", seen, restart=restart_command(facts, _sink(facts)))


def _started_listening(facts: Facts, unread: int) -> Finding:
    lines = [line.text for line in facts.log(_sink(facts)) if _LISTENS in line.text]
    if lines:
        return Ok((saw(f"log of {_sink(facts).name}", lines[-1]),))
    return NotChecked(
        f"{unread} events are not read, and no line 'CRM Events Sink started. {_LISTENS}' in its last lines",
        where=f"log of {_sink(facts).name}",
        fix=log_command(facts, _sink(facts)),
    )


def _page_answers(facts: Facts) -> Finding:
    where = f"GET {facts.target.sink.metrics_url}"
    try:
        page = facts.page()
    except RunbookError as error:
        seen = saw(error.where, error.seen)
        return broken("S_METRICS_DOWN", seen, restart=restart_command(facts, _sink(facts)))
    return Ok((saw(where, f"{len(page.counters)} series of the counter"),))


def _sink(facts: Facts) -> Service:
    return Service(name=facts.target.sink.service, container=facts.target.sink.container)


CHECKS = (
    Check(code="Q_DOWN", hop="kafka", claim="The Kafka broker answers", needs=("DOCKER_DOWN",), run=_broker_answers),
    *container_checks("sink", "The sink", _sink, _sink_answer),
    Check(
        code="Q_ZOMBIE",
        hop="sink",
        claim="The sink listens to its topics",
        needs=("Q_DOWN", "sink.CTR_EXITED"),
        run=_sink_listens,
    ),
    Check(
        code="S_METRICS_DOWN",
        hop="metrics",
        claim="The sink's metrics page answers",
        needs=("sink.CTR_EXITED",),
        run=_page_answers,
    ),
)
