"""The ledger of one run: every row through every hop, and the sums of both counters."""

from runbook.commands.verify.criteria import Seen
from runbook.commands.verify.sink_log import log_since
from runbook.conservation.ledger import api_sight, counter_sight, kafka_sight, log_sights, panel_sight
from runbook.conservation.own_events import Place, place_of
from runbook.conservation.run_sums import unread_sums
from runbook.conservation.traffic_run import TrafficRun
from runbook.model import Created, HopSight, Ledger, LedgerRow
from runbook.systems.kafka.records import CrmEvent

_NOT_FOUND = "its event was not found in Kafka"


def followed(sent: TrafficRun, seen: Seen) -> Ledger:
    """Return every row through every hop, and the sums of both counters."""
    own = seen.events.own if seen.events else {}
    known = seen.events.ours if seen.events else None
    by_sink = seen.counts.sums if seen.counts else unread_sums("sink", sent.created, known)
    by_prometheus = seen.samples.sums if seen.samples else unread_sums("Prometheus", sent.created, known)
    logged = _logged(sent, seen)
    sampled_at = seen.samples.first_at if seen.samples else {}
    by_topic = seen.panels.by_topic if seen.panels else None

    def row(entity: Created) -> LedgerRow:
        key = (entity.topic, entity.id)
        event, at = own.get(key), sampled_at.get(key)
        sampled = counter_sight("prometheus", event, by_prometheus, at=at, why=seen.unread.get("Prometheus", ""))
        read_at = min((one for one in (seen.counts and seen.counts.at, at) if one), default=None)
        hops: tuple[HopSight, ...] = (
            api_sight(entity),
            kafka_sight(seen.events.found.get(key, ())) if seen.events else _not_read(seen, "kafka", "Kafka"),
            _log_sight(seen, event, logged),
            counter_sight("counter", event, by_sink, at=read_at, why=seen.unread.get("sink metrics", "")),
            sampled,
            panel_sight(event, by_topic, sampled, sampled_at=at, why=seen.unread.get("panels", "")),
        )
        if seen.events is None:  # whether the event was there is not known, so no later hop says that it was not
            hops = (*hops[:2], *(_not_read(seen, hop.hop, "Kafka") for hop in hops[2:]))
        return LedgerRow(created=entity, hops=hops)

    return Ledger(run_id=sent.run_id, rows=tuple(map(row, sent.created)), sums=(*by_sink, *by_prometheus))


def _logged(sent: TrafficRun, seen: Seen) -> dict[Place, HopSight]:
    if seen.events is None or seen.lines is None:
        return {}
    return log_sights(
        seen.events.since(log_since(sent)), seen.lines.lines, own=[place_of(one) for one in seen.events.own.values()]
    )


def _log_sight(seen: Seen, event: CrmEvent | None, logged: dict[Place, HopSight]) -> HopSight:
    if seen.lines is None:
        return _not_read(seen, "sink log", "sink log")
    if event is None:
        return HopSight(hop="sink log", outcome="not_checked", saw=_NOT_FOUND)
    found = logged[place_of(event)]
    if found.outcome == "ok" or seen.lines.tells_of(event.at):
        return found
    return HopSight(hop="sink log", outcome="not_checked", saw=f"{found.saw}; {seen.lines.why}")


def _not_read(seen: Seen, hop: str, step: str) -> HopSight:
    return HopSight(hop=hop, outcome="not_checked", saw=seen.unread.get(step) or "the hop could not be read")
