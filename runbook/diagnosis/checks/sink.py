"""Hop sink: whether it runs, is on a network, and reads its topics."""

from datetime import timedelta
from typing import Final

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.container_checks import server_checks
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import are_apart, joining, lost_finding, network_check
from runbook.errors import AnswerError, ProtocolError, UnreachableError
from runbook.model import Evidence
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.records import GroupFacts
from runbook.systems.runtime import Service
from runbook.systems.sink.client import SinkPage

_LISTENS: Final = "Listening to topics"
_TIME_TO_JOIN: Final = timedelta(seconds=60)


@Fact
def group(facts: Facts) -> GroupFacts | None:
    """Return the sink's group; None when the broker cannot say."""
    return facts.ask_kafka(Kafka.group)


@Fact
def read_meanwhile(facts: Facts) -> tuple[float, float]:
    """Return how far the sink's page says that it has read, and how far once it reads on, if that is soon enough."""
    before = _read(facts.page())

    def look() -> tuple[float, bool]:
        now = _read(facts.page_now())
        return now, now > before

    return before, facts.until(look)


def _read(page: SinkPage) -> float:
    """Return the sum of its positions; an older sink shows none, and counts."""
    return float(sum(page.next_offsets.values())) or sum(page.counters.values()) + sum(page.rejected.values())


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
    """Proven by a member of the group, by having read everything, by the line of this start, or by reading on."""
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
    before, now = read_meanwhile(facts)
    page = f"GET {facts.target.sink.metrics_url}"
    if now > before:
        return Ok((saw(page, f"{before:g} events read, {now:g} a moment later"),))
    return NotChecked(
        f"{unread} events are not read, none is read meanwhile, and no line 'CRM Events Sink started. {_LISTENS}' "
        "is among the last ones of this start",
        where=page,
        fix=facts.log_command(sink),
    )


def _sink(facts: Facts) -> Service:
    return facts.target.sink.as_service


CHECKS = (
    *server_checks(
        "sink", "The sink", _sink, lambda facts: facts.target.sink.metrics_url, Facts.page, "sink.WRONG_NETWORK"
    ),
    network_check("sink", "The sink is on a network", _is_on_a_network, "sink.CTR_EXITED"),
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
