"""Hop panels: what is on the screen, and whether an empty panel is a fault or just a quiet hour."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.facts import PANEL_20, WINDOW_S, Facts, saw
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import COUNTER

_WINDOW = timedelta(seconds=WINDOW_S)


def _events_come(facts: Facts) -> Finding:
    topics, seen = facts.topics(), _newest_seen(facts)
    if _within(facts, _WINDOW, topics.newest.values()):
        return Ok((seen,))
    if facts.unread():
        return NotChecked(
            f"{facts.unread()} events are not read by the sink, and none is newer than five minutes",
            where=seen.source,
            fix=f"{inv('logs')}: what the sink waits for",
        )
    flat = saw("end offsets", f"{sum(topics.end_offsets.values())} in all, 0 of them unread")
    return Ok((seen, flat), explains=True)


def _panels_move(facts: Facts) -> Finding:
    rates, newest, shown_after = facts.rates(), facts.topics().newest, facts.shown_after()
    text = ", ".join(f"{topic} {rate:.4g}/s" for topic, rate in sorted(rates.items()))
    seen = saw(f"query {PANEL_20}", text or "it can be queried, and has no rate")
    recent = [topic for topic, at in newest.items() if _within(facts, _WINDOW - shown_after, [at])]
    blind = [topic for topic in recent if not rates.get(topic, 0.0) > 0]
    if not blind:
        return Ok((seen, _newest_seen(facts)))
    if facts.unread() or _within(facts, shown_after, [newest[topic] for topic in blind]):
        return NotChecked(
            f"events of {', '.join(blind)} are on their way, {facts.unread()} of them not read by the sink",
            where=_newest_seen(facts).source,
            fix=f"{inv('troubleshoot')}, in half a minute",
        )
    return _blind(facts, blind[0], seen)


def _blind(facts: Facts, topic: str, seen: Evidence) -> Finding:
    """Events were read, yet the panel shows nothing: because of the series' first value, or nobody knows why."""
    samples = [one.samples for one in facts.series() if one.labels.get("topic") == topic]
    values = [{value for _, value in series} for series in samples]
    raw = saw(
        f"raw samples of {COUNTER}, topic {topic}",
        "; ".join(f"{len(series)} samples: {sorted(found)}" for series, found in zip(samples, values, strict=True))
        or "no series",
    )
    if values and all(len(found) == 1 and min(found) > 0 for found in values):
        return broken(seen, raw, _newest_seen(facts))
    return NotChecked(f"events were read, and the panel does not show them; {raw.saw}", where=raw.source)


def _newest_seen(facts: Facts) -> Evidence:
    newest = facts.topics().newest
    said = (f"{topic} {at:%Y-%m-%d %H:%M:%S} UTC" if at else f"{topic} none" for topic, at in sorted(newest.items()))
    return saw("newest events in Kafka", ", ".join(said))


def _within(facts: Facts, age: timedelta, times: Iterable[datetime | None]) -> bool:
    return any(at is not None and facts.now() - at < age for at in times)


CHECKS = (
    Check(
        code="V_BORN",
        hop="panels",
        claim="The panels show the events of the last five minutes",
        diagnosis="Events are counted, but the panels are empty: the series was born above zero",
        sign="events were read, the rate is 0, and all raw samples are equal and above 0",
        fix="{inv:traffic}: a second wave of events shows",
        needs=("Q_DOWN", "P_TARGET"),
        run=_panels_move,
    ),
    Check(
        code="A_IDLE",
        hop="panels",
        claim="Every event is read, and it is known when the last one came",
        diagnosis="No event came in the last five minutes: the panels are empty, nothing is wrong",
        sign="no event is newer than five minutes, and every event is read",
        fix="",
        needs=("Q_DOWN", "sink.CTR_EXITED"),
        run=_events_come,
    ),
)
