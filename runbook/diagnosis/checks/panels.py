"""Hop panels: what is on the screen, and whether an empty panel is a fault or just a quiet hour."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final

from runbook.diagnosis import boundaries
from runbook.diagnosis.boundary_checks import boundary_check
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.checks import kafka
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import COUNTER
from runbook.systems.prometheus.records import Series

PANEL_20: Final = f"sum by (topic) (rate({COUNTER}[5m]))"
_WINDOW_S: Final = 300.0
_ALIKE: Final = 0.93
_WINDOW: Final = timedelta(seconds=_WINDOW_S)


@Fact
def rates(facts: Facts) -> Mapping[str, float]:
    """Return what panel 20 shows: events a second by topic, after the newest events if they show soon enough."""
    newest = facts.topics().newest

    def look() -> tuple[Mapping[str, float], bool]:
        samples = facts.ask_prometheus(lambda prometheus: prometheus.query(PANEL_20))
        found = {sample.labels.get("topic", ""): sample.value for sample in samples}
        blind = [topic for topic, at in newest.items() if at is not None and not found.get(topic, 0.0) > 0]
        raw = _series_now(facts) if blind else ()
        return found, all(_is_due(facts, topic, raw) for topic in blind)

    return facts.until(look)


@Fact
def series(facts: Facts) -> tuple[Series, ...]:
    """Return the counter's raw samples of the panel's window."""
    return _series_now(facts)


def _series_now(facts: Facts) -> tuple[Series, ...]:
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
        return _without_topics(facts, absent)
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


def _without_topics(facts: Facts, absent: Sequence[str]) -> Finding:
    """Where topics are created by use, they come with the first event; unless the events are in one of another name."""
    said = f"there is no topic {' and no topic '.join(absent)}"
    source = f"topics of Kafka at {facts.target.kafka.bootstrap}"
    others = [one for one in kafka.cluster(facts).topics if one not in facts.topics().newest]
    alike = [near for one in absent for near in get_close_matches(one, others, n=1, cutoff=_ALIKE)]
    if not alike:
        return Ok((saw(source, f"{said}: no event was ever produced"),), is_exercised=False)
    names = ", ".join(alike)
    places = " or ".join(facts.target.kafka.place_of(name) for name in ("lead_topic", "job_topic"))
    return NotChecked(f"{said}, but there is {names}", where=source, fix=f"set {places}, if that is where events go")


def _panels_move(facts: Facts) -> Finding:
    shown, newest, needs = rates(facts), facts.topics().newest, shown_after(facts)
    text = ", ".join(f"{topic} {rate:.4g}/s" for topic, rate in sorted(shown.items()))
    seen = saw(f"query {PANEL_20}", text or "it can be queried, and has no rate")
    recent = [topic for topic, at in newest.items() if _within(facts, _WINDOW - needs, [at])]
    blind = [topic for topic in recent if not shown.get(topic, 0.0) > 0]
    if not blind:
        return Ok((seen, _newest_seen(facts)))
    on_their_way = [topic for topic in blind if not _is_due(facts, topic, series(facts))]
    if on_their_way == blind:
        few = saw(f"raw samples of {COUNTER}", f"too few since the newest events of {', '.join(blind)}")
        return Ok((seen, _newest_seen(facts), few), is_exercised=False)
    if unread(facts):
        return NotChecked(
            f"{unread(facts)} events of {', '.join(blind)} are not read by the sink",
            where=_newest_seen(facts).source,
            fix=f"{inv('troubleshoot')}, in half a minute",
        )
    return _blind(facts, next(topic for topic in blind if topic not in on_their_way), seen)


def _is_due(facts: Facts, topic: str, raw: Iterable[Series]) -> bool:
    """Whether the panel had the time that it needs since the topic's newest event, and the two samples of a series."""
    counts = {len(one.samples) for one in raw if one.labels.get("topic") == topic}
    return not _within(facts, shown_after(facts), [facts.topics().newest[topic]]) and counts != {1}


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
