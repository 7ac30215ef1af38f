"""Hop sink: whether it runs, is on a network, and reads its topics."""

from datetime import timedelta
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.container_checks import container_checks
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import are_apart, joining, lost_finding, network_check, port_check
from runbook.errors import AnswerError, ProtocolError, UnreachableError
from runbook.model import Evidence
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import GroupFacts
from runbook.systems.runtime import Service

_LISTENS: Final = "Listening to topics"
_TIME_TO_JOIN: Final = timedelta(seconds=60)


@Fact
def group(facts: Facts) -> GroupFacts | None:
    """Return the sink's group; None when the broker cannot say."""
    return facts.ask_kafka(Kafka.group)


def _answer(facts: Facts) -> Evidence:
    return saw(f"GET {facts.target.sink.metrics_url}", f"{facts.page().size_bytes} bytes, so it runs")


def _is_on_a_network(facts: Facts) -> Finding:
    try:
        return Ok((_answer(facts),))
    except (AnswerError, ProtocolError) as error:
        if isinstance(error, ProtocolError) and error.is_of_a_proxy:
            raise
        return Ok((saw(error.where, error.seen),))
    except UnreachableError as error:
        return lost_finding(facts, _sink(facts), facts.target.prometheus.as_service, saw(error.where, error.seen))


def _listens(facts: Facts) -> Finding:
    """Proven by a member of the group, by having read everything, or by the start-up line: any one of them."""
    members = group(facts)
    if members is not None:
        seen = saw(f"group {facts.target.kafka.group}", f"{members.state}, {len(members.members)} members")
        return Ok((seen,)) if members.members else _empty_group(facts, seen)
    unread = facts.topics().unread
    if unread == 0:
        return Ok((saw("offsets of the sink", "every event is read"),))
    return _started_listening(facts, unread)


def _empty_group(facts: Facts, seen: Evidence) -> Finding:
    sink, broker = _sink(facts), facts.target.kafka.as_service
    started_at = facts.state(sink).started_at
    if started_at is None:
        return NotChecked(f"{seen.saw}; since when the sink runs is not known", where=seen.source)
    if facts.now() - started_at < _TIME_TO_JOIN:
        return NotChecked(f"{seen.saw}; the sink has had no time to join yet", where=seen.source)
    own, of_broker = facts.networks(sink), facts.networks(broker)
    if are_apart(own, of_broker):
        fix = joining(of_broker, own, facts.state(sink).name, facts.state(broker).name)
        return NotChecked(f"{seen.saw}; the sink shares no network with the broker", where=seen.source, fix=fix)
    return broken(seen, start=facts.start_command(sink))


def _started_listening(facts: Facts, unread: int) -> Finding:
    sink = _sink(facts)
    lines = [line.text for line in facts.log(sink) if _LISTENS in line.text]
    if lines:
        return Ok((saw(f"log of {sink.name}", lines[-1]),))
    return NotChecked(
        f"{unread} events are not read, and no line 'CRM Events Sink started. {_LISTENS}' in its last lines",
        where=f"log of {sink.name}",
        fix=facts.log_command(sink),
    )


def _sink(facts: Facts) -> Service:
    return facts.target.sink.as_service


CHECKS = (
    *container_checks("sink", "The sink", _sink, _answer),
    network_check("sink", "The sink is on a network", _is_on_a_network, "sink.CTR_EXITED"),
    port_check("sink", "The sink", _sink, lambda facts: facts.target.sink.metrics_url, Facts.page, "sink.CTR_EXITED"),
    Check(
        code="Q_ZOMBIE",
        hop="sink",
        claim="The sink listens to its topics",
        diagnosis="The sink runs, but has left its consumer group",
        sign="its group is empty a minute after its start, and it shares a network with the broker",
        fix="{start}",
        needs=("Q_DOWN", "sink.CTR_EXITED"),
        run=_listens,
    ),
)
