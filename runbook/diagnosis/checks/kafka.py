"""Hops kafka, sink and metrics: the broker, who reads from it, and the page that is scraped."""

from datetime import timedelta

from runbook.diagnosis.checks.containers import container_checks
from runbook.diagnosis.checks.reach import are_apart, joining, lost_finding, port_check
from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import broker, down, log_command, prometheus, restart_command, sink
from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.model import Evidence

_LISTENS = "Listening to topics"
_TIME_TO_JOIN = timedelta(seconds=60)


def _broker_answers(facts: Facts) -> Finding:
    mine = facts.target.kafka
    try:
        cluster = facts.cluster()
    except UnreachableError as error:
        return down(facts, "Q_DOWN", broker(facts), saw(error.where, error.seen))
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
    started_at = facts.state(sink(facts)).started_at
    if started_at is None or facts.now() - started_at < _TIME_TO_JOIN:
        return NotChecked(f"{seen.saw}; the sink has had no time to join yet", where=seen.source)
    own, of_broker = facts.networks(sink(facts)), facts.networks(broker(facts))
    if are_apart(own, of_broker):
        fix = joining(of_broker, own, facts.state(sink(facts)).name, facts.state(broker(facts)).name)
        return NotChecked(f"{seen.saw}; the sink shares no network with the broker", where=seen.source, fix=fix)
    return broken("Q_ZOMBIE", seen, restart=restart_command(facts, sink(facts)))


def _started_listening(facts: Facts, unread: int) -> Finding:
    lines = [line.text for line in facts.log(sink(facts)) if _LISTENS in line.text]
    if lines:
        return Ok((saw(f"log of {sink(facts).name}", lines[-1]),))
    return NotChecked(
        f"{unread} events are not read, and no line 'CRM Events Sink started. {_LISTENS}' in its last lines",
        where=f"log of {sink(facts).name}",
        fix=log_command(facts, sink(facts)),
    )


def _is_on_a_network(facts: Facts) -> Finding:
    try:
        return Ok((_sink_answer(facts),))
    except AnswerError as error:
        return Ok((saw(error.where, error.seen),))
    except UnreachableError as error:
        return lost_finding(facts, sink(facts), prometheus(facts), saw(error.where, error.seen))


def _page_answers(facts: Facts) -> Finding:
    where = f"GET {facts.target.sink.metrics_url}"
    try:
        page = facts.page()
    except RunbookError as error:
        seen = saw(error.where, error.seen)
        return broken("S_METRICS_DOWN", seen, restart=restart_command(facts, sink(facts)))
    return Ok((saw(where, f"{len(page.counters)} series of the counter"),))


def _bootstrap(facts: Facts) -> str:
    """Return the first address: of a list, the client tries one after the other."""
    return f"tcp://{facts.target.kafka.bootstrap.partition(',')[0]}"


CHECKS = (
    port_check("kafka", "The Kafka broker", broker, _bootstrap, Facts.cluster),
    Check(
        code="Q_DOWN",
        hop="kafka",
        claim="The Kafka broker answers",
        needs=("DOCKER_DOWN",),
        unless=("kafka.PORT_UNPUBLISHED",),
        run=_broker_answers,
    ),
    *container_checks("sink", "The sink", sink, _sink_answer),
    Check(
        code="Q_ZOMBIE",
        hop="sink",
        claim="The sink listens to its topics",
        needs=("Q_DOWN", "sink.CTR_EXITED"),
        run=_sink_listens,
    ),
    Check(
        code="WRONG_NETWORK",
        hop="sink",
        claim="The sink is on a network",
        needs=("sink.CTR_EXITED",),
        run=_is_on_a_network,
    ),
    port_check("sink", "The sink", sink, lambda facts: facts.target.sink.metrics_url, Facts.page, "sink.CTR_EXITED"),
    Check(
        code="S_METRICS_DOWN",
        hop="metrics",
        claim="The sink's metrics page answers",
        needs=("sink.CTR_EXITED",),
        unless=("sink.WRONG_NETWORK", "sink.PORT_UNPUBLISHED"),
        run=_page_answers,
    ),
)
