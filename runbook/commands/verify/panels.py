"""The look at panels 20 and 21, through Grafana and by their own queries."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook.commands.task_run import StepOutput
from runbook.commands.verify.closing import CountsSeen
from runbook.commands.verify.events import EVERY_S, EventsSeen, looked
from runbook.conservation.ledger import first_point
from runbook.conservation.own_events import CLOCK_TOLERANCE, produced_at
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.files.compare import Datasource, datasource_among
from runbook.files.desired import wanted_panels
from runbook.files.our_panels import lacking, present
from runbook.invocation import inv
from runbook.settings import Target
from runbook.systems.grafana.client import Frame as PanelFrame
from runbook.systems.grafana.client import Grafana
from runbook.systems.http import answer_s
from runbook.waiting import watch

BY_TOPIC, TOP_TENANTS = 20, 21
_PANEL_WINDOW = timedelta(minutes=5)
_MARGIN = timedelta(seconds=30)
_PROVISIONED_S = 10.0
_MOST_TENANTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelsSeen:
    """What panels 20 and 21 return through Grafana, and the highest rate per topic and per tenant.

    `lacking` are, by panel, the fields in which it is served otherwise than the criteria need it.
    """

    by_topic: tuple[PanelFrame, ...]
    top_tenants: tuple[PanelFrame, ...]
    lacking: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_full_of_others(self) -> bool:
        """Panel 21 shows the ten busiest tenants; where there are ten, others' traffic may keep ours out."""
        busy = {frame.labels.get("tenant_id") for frame in self.top_tenants if any(frame.values)}
        return len(busy) >= _MOST_TENANTS

    def rate_of_topic(self, topic: str) -> float:
        """Return the highest rate of a topic on panel 20, in events per second."""
        return _highest(self.by_topic, "topic", topic)

    def rate_of_tenant(self, tenant_id: str) -> float:
        """Return the highest rate of a tenant on panel 21, in events per second."""
        return _highest(self.top_tenants, "tenant_id", tenant_id)


def panels_seen(
    target: Target, sent: TrafficRun, events: EventsSeen | None, samples: CountsSeen | None, timeout_s: float
) -> StepOutput[PanelsSeen]:
    """Ask Grafana for panels 20 and 21 as they were at the time of the run until they show it.

    Later the window of 5 minutes is empty. A point counts from the scrape on that held the last event of its topic:
    what came before is others' traffic. Where Prometheus does not account for the events, nothing is waited for.
    """
    since = _scraped_by(events, samples)
    last = max((sent.ended_at, *(samples.first_at.values() if samples else ())))
    end = last + _PANEL_WINDOW - _MARGIN
    is_over = datetime.now(UTC) > end or samples is None or any(one.outcome == "failed" for one in samples.sums)
    return panels_between(
        target,
        start=sent.started_at - _MARGIN,
        end=lambda: min(datetime.now(UTC), end),
        since=since,
        tenants=sent.tenants,
        timeout_s=0 if is_over else timeout_s,
    )


def panels_between(
    target: Target,
    *,
    start: datetime,
    end: Callable[[], datetime],
    since: Mapping[str, datetime],
    tenants: Collection[str],
    timeout_s: float,
) -> StepOutput[PanelsSeen]:
    """Ask Grafana for panels 20 and 21 by their own served queries, until both show what is owed.

    That is a point above zero of each topic `since` a time, and of each tenant.
    """
    grafana = Grafana(target.grafana, answer_s(timeout_s))
    source = _datasource(grafana, target)
    served = _served_panels(grafana, target, source, timeout_s)

    def asked(number: int) -> tuple[PanelFrame, ...]:
        served_queries = served.panels[number].get("targets", [])
        targets = [{**one, "intervalMs": 1000, "maxDataPoints": 1000} for one in served_queries]
        return grafana.query(targets, datasource_uid=source.uid, start=start, end=end())

    def look() -> tuple[PanelsSeen, bool]:
        seen = PanelsSeen(by_topic=asked(BY_TOPIC), top_tenants=asked(TOP_TENANTS), lacking=served.lacking)
        has_topics = all(first_point(seen.by_topic, topic, since=at) for topic, at in since.items())
        has_tenants = all(seen.rate_of_tenant(name) > 0 for name in tenants)
        return seen, has_topics and (has_tenants or seen.is_full_of_others)

    seen, is_complete = watch(look, deadline_s=timeout_s, every_s=EVERY_S)
    by_topic = ", ".join(f"{topic} {seen.rate_of_topic(topic):.4g}/s" for topic in sorted(since))
    by_tenant = ", ".join(f"{name} {seen.rate_of_tenant(name):.4g}/s" for name in sorted(tenants))
    saw = f"panel 20: {by_topic or 'no topic is owed a line'}; panel 21: {by_tenant or 'no tenant is owed a line'}"
    source_url = f"POST {target.grafana.url}/api/ds/query"
    return looked(seen, is_complete, saw, source=source_url, fix=inv("troubleshoot"))


def _scraped_by(events: EventsSeen | None, samples: CountsSeen | None) -> dict[str, datetime]:
    """Return, per topic of the run, when Prometheus had sampled its last event, or else when that was produced."""
    first_at = samples.first_at if samples else {}
    latest: dict[str, datetime] = {}
    for key, event in events.own.items() if events else ():
        at = first_at.get(key) or produced_at(event) - CLOCK_TOLERANCE
        latest[event.topic] = max(at, latest.get(event.topic, at))
    return latest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """Both panels as they are served, by number, and what they lack."""

    panels: Mapping[int, Mapping[str, Any]]
    lacking: Mapping[int, tuple[str, ...]]


def _served_panels(grafana: Grafana, target: Target, source: Datasource, timeout_s: float) -> _Served:
    """Return both panels. A Grafana that has just started answers before it has its dashboards."""

    def look() -> tuple[_Served, bool]:
        dashboard = grafana.dashboard(target.grafana.dashboard_uid)
        panels = dashboard.panels if dashboard else ()
        wanted = wanted_panels(source.by_variables(dashboard.templating if dashboard else None))
        found = present(panels, wanted.panels)
        return _Served(panels=found, lacking=lacking(panels, wanted)), {BY_TOPIC, TOP_TENANTS} <= found.keys()

    served, _ = watch(look, deadline_s=min(timeout_s, _PROVISIONED_S), every_s=EVERY_S)
    for number in (BY_TOPIC, TOP_TENANTS):
        if number not in served.panels:
            where = f"{target.grafana.url}/d/{target.grafana.dashboard_uid}"
            raise RunbookError(f"Grafana serves no panel {number}", where=where, fix=inv("setup"))
    return served


def _datasource(grafana: Grafana, target: Target) -> Datasource:
    settings = target.grafana
    if settings.datasource_uid:
        return Datasource(uid=settings.datasource_uid, name=settings.datasource)
    sources = grafana.datasources()
    found = [source for source in sources if source.name == settings.datasource]
    if not found:
        raise RunbookError(
            f"Grafana has no datasource {settings.datasource!r}",
            where=f"{settings.url}/api/datasources",
            fix=f"provision it, or set {settings.place_of('datasource')} to its name",
        )
    return datasource_among(found[0], sources)


def _highest(frames: tuple[PanelFrame, ...], label: str, wanted: str) -> float:
    values = (value for frame in frames if frame.labels.get(label) == wanted for value in frame.values)
    return max((value for value in values if value is not None), default=0.0)
