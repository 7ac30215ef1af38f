"""One look per hop for `verify`: wait for the events of a run to arrive there, and return what was seen.

A look waits until it is complete or its time is over, and returns its evidence either way. What it cannot read at
all it raises, and the frame notes the hop as not checked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from runbook.clients.grafana import Frame as PanelFrame
from runbook.clients.grafana import Grafana
from runbook.clients.kafka import Event, Kafka
from runbook.clients.prometheus import Prometheus
from runbook.clients.runtime import Runtime, Service
from runbook.clients.sink import Sink, SinkPage
from runbook.errors import RunbookError
from runbook.model import Evidence, LedgerSum
from runbook.settings import Target
from runbook.steps.counts import POSITION, Snapshot, sampled_snapshot, snapshot_of_page
from runbook.steps.frame import Done
from runbook.steps.ledger import Key, Received, covers, events_of, received_lines, sums, unread_sums
from runbook.steps.sent import Sent
from runbook.waiting import watch

T = TypeVar("T")

ALERT = "CrmEventsSinkDown"
BY_TOPIC, TOP_TENANTS = 20, 21
_PANEL_WINDOW = timedelta(minutes=5)
_MARGIN = timedelta(seconds=30)
_CLOCK_TOLERANCE = timedelta(seconds=2)
_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSeen:
    """All events since the baseline, and by topic and id those of the run."""

    every: tuple[Event, ...]
    own: dict[Key, Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsSeen:
    """A counter's sums, the page they come from, and when each event was first seen counted."""

    sums: tuple[LedgerSum, ...]
    at: datetime
    page: SinkPage | None = None
    first_at: dict[Key, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelsSeen:
    """What panels 20 and 21 return through Grafana, and the highest rate per topic and per tenant."""

    by_topic: tuple[PanelFrame, ...]
    top_tenants: tuple[PanelFrame, ...]

    def rate_of_topic(self, topic: str) -> float:
        """Return the highest rate of a topic on panel 20, in events per second."""
        return _highest(self.by_topic, "topic", topic)

    def rate_of_tenant(self, tenant_id: str) -> float:
        """Return the highest rate of a tenant on panel 21, in events per second."""
        return _highest(self.top_tenants, "tenant_id", tenant_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSeen:
    """How Prometheus has loaded the alert; None: not at all."""

    saw: str
    is_loaded: bool
    is_firing: bool


def kafka_events(target: Target, sent: Sent, timeout_s: float) -> Done[EventsSeen]:
    """Find the event of every entity; some may still be in ApexFlow's outbox."""

    def look() -> tuple[EventsSeen, bool]:
        every = _events_since(target, sent, timeout_s)
        own = events_of(sent.created, every)
        return EventsSeen(every=every, own=own), len(own) == len(sent.created)

    seen, is_complete = watch(look, deadline_s=timeout_s, every_s=_EVERY_S)
    saw = (
        f"{len(seen.own)} of {len(sent.created)} events of this run, "
        f"{len(seen.every) - len(seen.own)} other events since its baseline"
    )
    return _done(seen, is_complete, saw, source=f"Kafka at {target.kafka.bootstrap}")


def _events_since(target: Target, sent: Sent, timeout_s: float) -> tuple[Event, ...]:
    topics = (target.kafka.lead_topic, target.kafka.job_topic)
    with Kafka(target.kafka) as kafka:
        starts, ends = kafka.start_offsets(topics), kafka.end_offsets(topics)
        between = {place: (max(starts.get(place, 0), sent.first_offset(*place)), end) for place, end in ends.items()}
        return kafka.events(between, deadline_s=timeout_s)


def sink_lines(target: Target, sent: Sent, runtime: Runtime, timeout_s: float) -> Done[tuple[Received, ...]]:
    """Find as many lines of the sink as the run has events."""
    service = Service(name=target.sink.service, container=target.sink.container)
    since = sent.started_at - _CLOCK_TOLERANCE

    def look() -> tuple[tuple[Received, ...], bool]:
        lines = received_lines(runtime.log(service, since=since))
        own = tuple(line for line in lines if line.tenant_id in sent.tenants and line.at >= since)
        return own, len(own) >= len(sent.created)

    lines, is_complete = watch(look, deadline_s=timeout_s, every_s=_EVERY_S)
    saw = f"{len(lines)} lines for {len(sent.created)} events" + (f", first: {lines[0].text}" if lines else "")
    return _done(lines, is_complete, saw, source=runtime.log_command(service))


def sink_counts(target: Target, sent: Sent, events: EventsSeen | None, timeout_s: float) -> Done[CountsSeen]:
    """Read the sink's page until its counters account for every event since the baseline."""
    sink = Sink(target.sink)
    pages: list[SinkPage] = []

    def read() -> Snapshot:
        pages[:] = [sink.page()]
        return snapshot_of_page(pages[0])

    source = f"GET {target.sink.metrics_url}"
    counts = _closing("sink", sent.baseline.page, read, target, sent, events, timeout_s)
    seen = CountsSeen(sums=counts.sums, at=counts.at, page=pages[0], first_at=_all_at(events, counts.at))
    return _counted(seen, source)


def prometheus_counts(target: Target, sent: Sent, events: EventsSeen | None, timeout_s: float) -> Done[CountsSeen]:
    """Read Prometheus's samples until they account for every event since the baseline."""
    prometheus = Prometheus(target.prometheus)
    job = target.prometheus.job

    def read() -> Snapshot:
        nothing = Snapshot(at=datetime.now(UTC), counts=(), positions=())
        return sampled_snapshot(prometheus, job=job) or nothing

    counts = _closing("Prometheus", sent.baseline.sampled, read, target, sent, events, timeout_s)
    first = _first_scrapes(prometheus, job, sent, events) if events else {}
    seen = CountsSeen(sums=counts.sums, at=counts.at, first_at=first)
    return _counted(seen, f'GET {target.prometheus.url}/api/v1/query {{job="{job}"}}')


def _closing(  # noqa: PLR0917 - private, the facts of one equation
    source: str,
    before: Snapshot | None,
    read: Callable[[], Snapshot],
    target: Target,
    sent: Sent,
    events: EventsSeen | None,
    timeout_s: float,
) -> CountsSeen:
    """Read until every event of the run is counted and every sum closes, or the time is over."""
    if before is None or events is None:
        return CountsSeen(sums=unread_sums(source, sent.created), at=read().at, first_at={})

    def look() -> tuple[CountsSeen, bool]:
        after = read()
        every = _events_up_to(after, target, sent, events, timeout_s)
        closed = sums(source, sent.created, every, before, after, sent.baseline.end_offsets or ())
        is_complete = covers(after, events.own.values()) and all(total.outcome == "ok" for total in closed)
        return CountsSeen(sums=closed, at=after.at, first_at={}), is_complete

    return watch(look, deadline_s=timeout_s, every_s=_EVERY_S)[0]


def _events_up_to(
    after: Snapshot, target: Target, sent: Sent, events: EventsSeen, timeout_s: float
) -> tuple[Event, ...]:
    """Return every event below a snapshot's positions; others may have produced since Kafka was read."""
    ends: dict[tuple[str, int], int] = {}
    for event in events.every:
        place = (event.topic, event.partition)
        ends[place] = max(ends.get(place, 0), event.offset + 1)
    reached = all(
        place.offset <= ends.get((place.topic, place.partition), sent.first_offset(place.topic, place.partition))
        for place in after.positions
    )
    return events.every if reached else _events_since(target, sent, timeout_s)


def _all_at(events: EventsSeen | None, at: datetime) -> dict[Key, datetime]:
    return dict.fromkeys(events.own, at) if events else {}


def _first_scrapes(prometheus: Prometheus, job: str, sent: Sent, events: EventsSeen) -> dict[Key, datetime]:
    """Return, per event, the time of the first scrape whose position had passed it."""
    window_s = (datetime.now(UTC) - sent.started_at + _MARGIN).total_seconds()
    scrapes: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    for series in prometheus.samples(f'{POSITION}{{job="{job}"}}', window_s=window_s):
        place = (series.labels.get("topic", ""), series.labels.get("partition", ""))
        scrapes.setdefault(place, []).extend(series.samples)
    first = {}
    since = sent.started_at - _CLOCK_TOLERANCE
    for key, event in events.own.items():
        samples = scrapes.get((event.topic, str(event.partition)), [])
        times = [at for at, value in samples if value > event.offset and at >= since]
        if times:
            first[key] = min(times)
    return first


def _counted(seen: CountsSeen, source: str) -> Done[CountsSeen]:
    saw = "; ".join(
        f"{total.topic}: {total.ours} ours + {_shown(total.others)} others, counted {_shown(total.delta)}"
        for total in seen.sums
    )
    outcomes = {total.outcome for total in seen.sums}
    evidence = (Evidence(source=source, saw=saw),)
    if "not_checked" in outcomes and "failed" not in outcomes:
        return Done(value=seen, outcome="not_checked", reason=f"no sum can be closed: {saw}", evidence=evidence)
    return Done(value=seen, outcome="failed" if "failed" in outcomes else "ok", reason=saw, evidence=evidence)


def _shown(figure: int | None) -> str:
    return "unread" if figure is None else str(figure)


def panels(target: Target, sent: Sent, events: EventsSeen | None, timeout_s: float) -> Done[PanelsSeen]:
    """Ask Grafana for panels 20 and 21 by their own served queries until they show the run."""
    grafana = Grafana(target.grafana)
    served = _served_panels(grafana, target)
    uid = _datasource_uid(grafana, target)
    topics = {event.topic for event in events.own.values()} if events else set()

    def look() -> tuple[PanelsSeen, bool]:
        seen = PanelsSeen(
            by_topic=_asked(grafana, uid, served[BY_TOPIC], sent),
            top_tenants=_asked(grafana, uid, served[TOP_TENANTS], sent),
        )
        rates = [seen.rate_of_topic(topic) for topic in topics] + [seen.rate_of_tenant(name) for name in sent.tenants]
        return seen, all(rate > 0 for rate in rates)

    seen, is_complete = watch(look, deadline_s=timeout_s, every_s=_EVERY_S)
    by_topic = ", ".join(f"{topic} {seen.rate_of_topic(topic):.4g}/s" for topic in sorted(topics))
    by_tenant = ", ".join(f"{name} {seen.rate_of_tenant(name):.4g}/s" for name in sorted(sent.tenants))
    saw = f"panel 20: {by_topic or 'no topic of this run'}; panel 21: {by_tenant}"
    return _done(seen, is_complete, saw, source=f"POST {target.grafana.url}/api/ds/query")


def _served_panels(grafana: Grafana, target: Target) -> dict[int, dict[str, Any]]:
    where = f"{target.grafana.url}/d/{target.grafana.dashboard_uid}"
    dashboard = grafana.dashboard(target.grafana.dashboard_uid)
    found = {panel["id"]: panel for panel in dashboard.panels if "id" in panel} if dashboard else {}
    for number in (BY_TOPIC, TOP_TENANTS):
        if number not in found:
            raise RunbookError(
                f"Grafana serves no panel {number}", where=where, fix=f"inv setup --target {target.name}"
            )
    return found


def _datasource_uid(grafana: Grafana, target: Target) -> str:
    settings = target.grafana
    if settings.datasource_uid:
        return settings.datasource_uid
    found = [source for source in grafana.datasources() if source.name == settings.datasource]
    if not found:
        raise RunbookError(
            f"Grafana has no datasource {settings.datasource!r}",
            where=f"{settings.url}/api/datasources",
            fix="provision it, or set RUNBOOK_GRAFANA_DATASOURCE to its name",
        )
    return found[0].uid


def _asked(grafana: Grafana, uid: str, panel: dict[str, Any], sent: Sent) -> tuple[PanelFrame, ...]:
    """Ask for a panel as it was at the time of the run: later its window of 5 minutes is empty."""
    end = min(datetime.now(UTC), sent.ended_at + _PANEL_WINDOW - _MARGIN)
    targets = [{**one, "intervalMs": 1000, "maxDataPoints": 1000} for one in panel.get("targets", [])]
    return grafana.query(targets, datasource_uid=uid, start=sent.started_at - _MARGIN, end=end)


def _highest(frames: tuple[PanelFrame, ...], label: str, wanted: str) -> float:
    values = (value for frame in frames if frame.labels.get(label) == wanted for value in frame.values)
    return max((value for value in values if value is not None), default=0.0)


def alert_rule(target: Target) -> Done[AlertSeen]:
    """Find the runbook's alert among the rules that Prometheus has loaded."""
    source = f"GET {target.prometheus.url}/api/v1/rules"
    for group in Prometheus(target.prometheus).rules():
        for rule in group.rules:
            if rule.name == ALERT:
                saw = f"{ALERT} in group {group.name}: health {rule.health}, state {rule.state}"
                is_loaded, is_firing = rule.health == "ok", rule.state == "firing"
                seen = AlertSeen(saw=saw, is_loaded=is_loaded, is_firing=is_firing)
                return _done(seen, is_loaded and not is_firing, saw, source=source)
    saw = f"{ALERT} is in none of the loaded groups"
    return _done(AlertSeen(saw=saw, is_loaded=False, is_firing=False), False, saw, source=source)  # noqa: FBT003


def _done(value: T, is_complete: bool, saw: str, *, source: str) -> Done[T]:
    evidence = (Evidence(source=source, saw=saw),)
    return Done(value=value, outcome="ok" if is_complete else "failed", reason=saw, evidence=evidence)
