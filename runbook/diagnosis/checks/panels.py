"""Hop panels: what is on the screen, and whether an empty panel is a fault or just a quiet hour."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from runbook.diagnosis import boundaries
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import COUNTER
from runbook.systems.prometheus.records import Series

PANEL_20: Final = f"sum by (topic) (rate({COUNTER}[5m]))"
_WINDOW_S: Final = 300.0
_WINDOW: Final = timedelta(seconds=_WINDOW_S)


@Fact
def rates(facts: Facts) -> Mapping[str, float]:
    """Return what panel 20 shows: events a second by topic, after the newest events if they show soon enough."""
    newest, needs = facts.topics().newest, shown_after(facts)

    def look() -> tuple[Mapping[str, float], bool]:
        samples = facts.ask_prometheus(lambda prometheus: prometheus.query(PANEL_20))
        found = {sample.labels.get("topic", ""): sample.value for sample in samples}
        young = [topic for topic, at in newest.items() if at is not None and facts.now() - at < needs]
        return found, all(found.get(topic, 0.0) > 0 for topic in young)

    return facts.until(look)


@Fact
def series(facts: Facts) -> tuple[Series, ...]:
    """Return the counter's raw samples of the panel's window."""
    return facts.ask_prometheus(lambda one: one.samples(COUNTER, window_s=_WINDOW_S))


@Fact
def unread(facts: Facts) -> int:
    """Return how many events the sink has not read, after it had time to commit what it has."""

    def look() -> tuple[int, bool]:
        left = facts.topics_now().unread
        return left, left == 0

    return facts.until(look) if facts.topics().unread else 0


def shown_after(facts: Facts) -> timedelta:
    """Return how long an event needs to the panel: a new series is served at 0 for one scrape before it moves."""
    return timedelta(seconds=1 + 2 * max((one.scrape_interval_s for one in facts.targets()), default=0.0))


def _events_come(facts: Facts) -> Finding:
    topics, seen = facts.topics(), _newest_seen(facts)
    absent = sorted(set(topics.newest) - {topic for topic, _ in topics.end_offsets})
    if absent:
        fix = f"{inv('traffic')}: the first lead and job create them, where topics are created by use"
        return NotChecked(f"There is no topic {' and no topic '.join(absent)}", where=seen.source, fix=fix)
    if _within(facts, _WINDOW, topics.newest.values()):
        return Ok((seen,))
    if unread(facts):
        return NotChecked(
            f"{unread(facts)} events are not read by the sink, and none is newer than five minutes",
            where=seen.source,
            fix=f"{inv('logs')}: what the sink waits for",
        )
    flat = saw("end offsets", f"{sum(topics.end_offsets.values())} in all, 0 of them unread")
    return Ok((seen, flat), explains=True)


def _panels_move(facts: Facts) -> Finding:
    shown, newest, needs = rates(facts), facts.topics().newest, shown_after(facts)
    text = ", ".join(f"{topic} {rate:.4g}/s" for topic, rate in sorted(shown.items()))
    seen = saw(f"query {PANEL_20}", text or "it can be queried, and has no rate")
    recent = [topic for topic, at in newest.items() if _within(facts, _WINDOW - needs, [at])]
    blind = [topic for topic in recent if not shown.get(topic, 0.0) > 0]
    if not blind:
        return Ok((seen, _newest_seen(facts)))
    if unread(facts) or _within(facts, needs, [newest[topic] for topic in blind]):
        return NotChecked(
            f"events of {', '.join(blind)} are on their way, {unread(facts)} of them not read by the sink",
            where=_newest_seen(facts).source,
            fix=f"{inv('troubleshoot')}, in half a minute",
        )
    return _blind(facts, blind[0], seen)


def _blind(facts: Facts, topic: str, seen: Evidence) -> Finding:
    """Events were read, yet the panel shows nothing: because of the series' first value, or nobody knows why."""
    samples = [one.samples for one in series(facts) if one.labels.get("topic") == topic]
    values = [{value for _, value in one} for one in samples]
    raw = saw(
        f"raw samples of {COUNTER}, topic {topic}",
        "; ".join(f"{len(one)} samples: {sorted(found)}" for one, found in zip(samples, values, strict=True))
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
    boundary_check(
        "LOSS_PROMETHEUS_GRAFANA",
        "panels",
        boundaries.prometheus_grafana,
        between="Prometheus and Grafana",
        sign="panel 20's query returns other points through Grafana than from Prometheus itself",
        log_of=lambda facts: facts.target.grafana.as_service,
        needs=("prometheus.WRONG_ANSWER", "F_NOT_PROVISIONED", "F_DS_URL"),
    ),
    Check(
        code="V_BORN",
        hop="panels",
        claim="The panels show the events of the last five minutes",
        diagnosis="Events are counted, but the panels are empty: the series began above zero",
        sign="events were read, the rate is 0, and all raw samples are equal and above 0",
        fix="{inv:traffic}: the panels show the next events",
        needs=("Q_DOWN", "P_TARGET"),
        unless=("LOSS_KAFKA_SINK", "LOSS_SINK_PROMETHEUS"),
        run=_panels_move,
    ),
    Check(
        code="A_IDLE",
        hop="panels",
        claim="It is known when the last event came, and no older one is unread",
        diagnosis="No event came in the last five minutes: the panels are empty, nothing is wrong",
        sign="no event is newer than five minutes, and every event is read",
        fix="",
        needs=("Q_DOWN", "sink.CTR_EXITED", "LOSS_API_KAFKA"),
        unless=("LOSS_KAFKA_SINK",),
        run=_events_come,
    ),
)
