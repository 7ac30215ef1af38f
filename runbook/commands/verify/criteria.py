"""The five success criteria of the runbook, each from what its own hop showed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runbook.commands.verify.alert import AlertSeen
from runbook.commands.verify.closing import CountsSeen
from runbook.commands.verify.events import EventsSeen
from runbook.commands.verify.panels import BY_TOPIC, TOP_TENANTS, PanelsSeen
from runbook.commands.verify.sink_log import LinesSeen
from runbook.model import Criterion, Evidence, Sight
from runbook.names import ALERT
from runbook.settings import Target
from runbook.systems.sink.client import SinkPage

CLAIMS: Final = {
    1: "Panel 20 shows timeseries lines for both lead and job events",
    2: "Panel 21 shows at least one tenant with event rate > 0",
    3: f"Alert {ALERT} is loaded in Prometheus (not firing)",
    4: "The metrics endpoint returns data",
    5: "The logs show 'Received lead.created for tenant' lines",
}


"""So long after its start a sink may have no partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What every hop showed; None: it could not be read.

    `quiet` says, by topic, why panels and log owe nothing on it: there was no event of it. `unread` says, by step, why
    it could not be read.
    """

    events: EventsSeen | None = None
    lines: LinesSeen | None = None
    page: SinkPage | None = None
    counts: CountsSeen | None = None
    samples: CountsSeen | None = None
    panels: PanelsSeen | None = None
    alert: AlertSeen | None = None
    quiet: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def judged(target: Target, seen: Seen) -> tuple[Criterion, ...]:
    """Return the five success criteria."""
    return (
        _lines_criterion(target, seen),
        _tenants_criterion(target, seen),
        _alert_criterion(target, seen.alert),
        _metrics_criterion(target, seen.page),
        _log_criterion(target, seen),
    )


def _lines_criterion(target: Target, seen: Seen) -> Criterion:
    if seen.panels is None:
        return _unread(1)
    rates = {topic: seen.panels.rate_of_topic(topic) for topic in (target.kafka.lead_topic, target.kafka.job_topic)}
    saw = ", ".join(f"{topic} {rate:.4g} events/s" for topic, rate in rates.items())
    why = [seen.quiet.get(topic, "") for topic, rate in rates.items() if not rate > 0]
    return _panel_criterion(target, seen.panels, 1, BY_TOPIC, why, saw)


def _tenants_criterion(target: Target, seen: Seen) -> Criterion:
    if seen.panels is None:
        return _unread(2)
    tenants = sorted({frame.labels.get("tenant_id", "") for frame in seen.panels.top_tenants})
    rates = {tenant: seen.panels.rate_of_tenant(tenant) for tenant in tenants}
    saw = ", ".join(f"{tenant} {rate:.4g} events/s" for tenant, rate in rates.items()) or "no tenant"
    is_quiet = {target.kafka.lead_topic, target.kafka.job_topic} <= seen.quiet.keys()
    why = ["; ".join(seen.quiet.values()) if is_quiet else ""]
    has_rate = any(rate > 0 for rate in rates.values())
    return _panel_criterion(target, seen.panels, 2, TOP_TENANTS, [] if has_rate else why, saw)


def _panel_criterion(  # noqa: PLR0917 - a row of facts
    target: Target, panels: PanelsSeen, number: int, panel: int, without_rate: list[str], saw: str
) -> Criterion:
    """What the query answers is not yet what the panel shows: that takes its needed fields, too.

    `without_rate` has one reason for each rate that is not above 0; empty where there is no reason.
    """
    source = f"{target.grafana.url}, panel {panel}"
    lacks = panels.lacking.get(panel, ())
    if lacks:
        said = f"{saw}; but it is served with other {', '.join(lacks)}"
        return _criterion(number, "failed", source=source, saw=said)
    if not without_rate:
        return _criterion(number, "ok", source=source, saw=saw)
    if all(without_rate):
        return _criterion(number, "not_checked", source=source, saw=f"{saw}; {'; '.join(without_rate)}")
    return _criterion(number, "failed", source=source, saw=saw)


def _alert_criterion(target: Target, alert: AlertSeen | None) -> Criterion:
    if alert is None:
        return _unread(3)
    return _criterion(3, alert.outcome, source=f"GET {target.prometheus.url}/api/v1/rules", saw=alert.saw)


def _metrics_criterion(target: Target, page: SinkPage | None) -> Criterion:
    if page is None:
        return _unread(4)
    shown = ", ".join(f"{topic} {tenant} {value:g}" for (tenant, topic), value in sorted(page.counters.items())[:5])
    if page.next_offsets and not shown:
        shown = f"positions of {len(page.next_offsets)} partitions; nothing counted since the sink was started"
    saw = f"{page.size_bytes} bytes; {shown or 'no crm_events_ingested_total'}"
    outcome: Sight = "ok" if page.counters or page.next_offsets else "failed"
    if page.is_joining:
        outcome, saw = "not_checked", f"{saw}; the sink was started a moment ago and has no partitions yet"
    return _criterion(4, outcome, source=f"GET {target.sink.metrics_url}", saw=saw)


def _log_criterion(target: Target, seen: Seen) -> Criterion:
    if seen.lines is None:
        return _unread(5)
    leads = [line for line in seen.lines.lines if line.event_type == "lead.created"]
    if leads:
        return _criterion(5, "ok", source="the sink's log", saw=f"{len(leads)} lines, the last: {leads[-1].text}")
    why = seen.quiet.get(target.kafka.lead_topic) or seen.lines.why
    saw = "no such line in the time that was looked at"
    return _criterion(
        5, "not_checked" if why else "failed", source="the sink's log", saw=f"{saw}; {why}" if why else saw
    )


def _criterion(number: int, outcome: Sight, *, source: str, saw: str) -> Criterion:
    return Criterion(number=number, claim=CLAIMS[number], outcome=outcome, evidence=(Evidence(source=source, saw=saw),))


def _unread(number: int) -> Criterion:
    return _criterion(number, "not_checked", source="this run", saw="the hop could not be read, see its step")
