"""Steps 5 and 6 of the runbook: the five success criteria, and the ledger of one traffic run through every hop.

Nothing is taken for granted: a hop that cannot be read is not checked, a sum must close exactly, and a rate above
zero is never the only proof.
"""

from dataclasses import dataclass, replace

from runbook.commands.apply.steps import warn_of_unfinished
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.commands.verify.counters import CountsSeen, prometheus_counts, sink_counts
from runbook.commands.verify.events import AlertSeen, EventsSeen, alert_rule, kafka_events, log_since, sink_lines
from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.panels import BY_TOPIC, TOP_TENANTS, PanelsSeen, panels_seen
from runbook.commands.verify.result import VerifyResult
from runbook.conservation.ledger import (
    Key,
    Received,
    api_sight,
    counter_sight,
    kafka_sight,
    log_sights,
    panel_sight,
    unread_sums,
)
from runbook.conservation.traffic_run import TrafficRun, traffic_run
from runbook.errors import ExitCode, RunbookError
from runbook.invocation import inv
from runbook.model import Created, Criterion, Evidence, HopSight, Ledger, LedgerRow, Sight
from runbook.names import ALERT
from runbook.settings import Target

CLAIMS = {
    1: "Panel 20 shows timeseries lines for both lead and job events",
    2: "Panel 21 shows at least one tenant with event rate > 0",
    3: f"Alert {ALERT} is loaded in Prometheus (not firing)",
    4: "The metrics endpoint returns data",
    5: "The logs show 'Received lead.created for tenant' lines",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What every hop showed; None: it could not be read."""

    events: EventsSeen | None
    lines: tuple[Received, ...] | None
    page: CountsSeen | None
    samples: CountsSeen | None
    panels: PanelsSeen | None
    alert: AlertSeen | None


def verify(context: RunContext, options: VerifyOptions) -> VerifyResult:
    """Prove a traffic run; the time-out bounds the wait at each hop.

    Exit code 0: every criterion and every row proven; 1: something failed; 3: something could not be checked.
    """
    target, runtime, timeout_s = context.target, context.runtime, options.timeout_s
    warn_of_unfinished(context.state_dir, context.screen)
    task_run = TaskRun("verify", context)
    try:
        sent = task_run.step("traffic run", 5, lambda: _sent(context, options.run_id))
        for note in sent.notes:
            context.screen.says(note)
    except RunbookError as error:
        return task_run.failure(VerifyResult, error)
    events = task_run.look("Kafka", 5, lambda: kafka_events(target, sent, timeout_s))
    lines = task_run.look("sink log", 5, lambda: sink_lines(target, sent, events, runtime, timeout_s))
    page = task_run.look("sink metrics", 5, lambda: sink_counts(target, sent, events, runtime, timeout_s))
    samples = task_run.look("Prometheus", 6, lambda: prometheus_counts(target, sent, events, runtime, timeout_s))
    panels = task_run.look("panels", 6, lambda: panels_seen(target, sent, events, samples, timeout_s))
    alert = task_run.look("alert rule", 2, lambda: alert_rule(target, timeout_s))
    seen = Seen(events=events, lines=lines, page=page, samples=samples, panels=panels, alert=alert)
    criteria, ledger = judged(target, seen), followed(sent, seen)
    outcome, code = _worst({criterion.outcome for criterion in criteria} | {ledger.outcome})
    if code:
        context.screen.says(f"what is broken is named by: {inv('troubleshoot')}")
    return replace(task_run.result(VerifyResult, outcome, code), criteria=criteria, ledger=ledger)


def _worst(outcomes: set[Sight]) -> tuple[str, ExitCode]:
    if "failed" in outcomes:
        return "failed", ExitCode.PROBLEM
    return ("inconclusive", ExitCode.INCONCLUSIVE) if "not_checked" in outcomes else ("ok", ExitCode.OK)


def _sent(context: RunContext, run_id: str | None) -> StepOutput[TrafficRun]:
    sent = traffic_run(context.state_dir, target=context.target.name, run_id=run_id)
    reason = f"run {sent.run_id}: {len(sent.created)} of {sent.wanted} entities were created"
    return StepOutput(value=sent, outcome="ok", reason=reason)


def judged(target: Target, seen: Seen) -> tuple[Criterion, ...]:
    """Return the five success criteria of the runbook, each from what its own hop showed."""
    return (
        _lines_criterion(target, seen.panels),
        _tenants_criterion(target, seen.panels),
        _alert_criterion(target, seen.alert),
        _metrics_criterion(target, seen.page),
        _log_criterion(seen.lines),
    )


def _lines_criterion(target: Target, panels: PanelsSeen | None) -> Criterion:
    if panels is None:
        return _unread(1)
    rates = {topic: panels.rate_of_topic(topic) for topic in (target.kafka.lead_topic, target.kafka.job_topic)}
    saw = ", ".join(f"{topic} {rate:.4g} events/s" for topic, rate in rates.items())
    return _panel_criterion(target, panels, 1, BY_TOPIC, all(rate > 0 for rate in rates.values()), saw)


def _tenants_criterion(target: Target, panels: PanelsSeen | None) -> Criterion:
    if panels is None:
        return _unread(2)
    tenants = sorted({frame.labels.get("tenant_id", "") for frame in panels.top_tenants})
    rates = {tenant: panels.rate_of_tenant(tenant) for tenant in tenants}
    saw = ", ".join(f"{tenant} {rate:.4g} events/s" for tenant, rate in rates.items()) or "no tenant"
    return _panel_criterion(target, panels, 2, TOP_TENANTS, any(rate > 0 for rate in rates.values()), saw)


def _panel_criterion(  # noqa: PLR0917 - a row of facts
    target: Target, panels: PanelsSeen, number: int, panel: int, has_rates: bool, saw: str
) -> Criterion:
    """What the query answers is not yet what the panel shows: that takes its needed fields, too."""
    lacks = panels.lacking.get(panel, ())
    said = f"{saw}; but it is served with other {', '.join(lacks)}" if lacks else saw
    return _criterion(number, has_rates and not lacks, source=f"{target.grafana.url}, panel {panel}", saw=said)


def _alert_criterion(target: Target, alert: AlertSeen | None) -> Criterion:
    if alert is None:
        return _unread(3)
    is_met = alert.is_loaded and not alert.is_firing
    return _criterion(3, is_met, source=f"GET {target.prometheus.url}/api/v1/rules", saw=alert.saw)


def _metrics_criterion(target: Target, counts: CountsSeen | None) -> Criterion:
    if counts is None or counts.page is None:
        return _unread(4)
    page = counts.page
    shown = ", ".join(f"{topic} {tenant} {value:g}" for (tenant, topic), value in sorted(page.counters.items())[:5])
    if page.next_offsets and not shown:
        shown = f"positions of {len(page.next_offsets)} partitions; nothing counted since the sink was started"
    saw = f"{page.size_bytes} bytes; {shown or 'no crm_events_ingested_total'}"
    source = f"GET {target.sink.metrics_url}"
    return _criterion(4, bool(page.counters or page.next_offsets), source=source, saw=saw)


def _log_criterion(lines: tuple[Received, ...] | None) -> Criterion:
    if lines is None:
        return _unread(5)
    leads = [line for line in lines if line.event_type == "lead.created"]
    saw = f"{len(leads)} lines, the last: {leads[-1].text}" if leads else "no such line since the run began"
    return _criterion(5, bool(leads), source="the sink's log", saw=saw)


def _criterion(number: int, is_met: bool, *, source: str, saw: str) -> Criterion:
    outcome: Sight = "ok" if is_met else "failed"
    return Criterion(number=number, claim=CLAIMS[number], outcome=outcome, evidence=(Evidence(source=source, saw=saw),))


def _unread(number: int) -> Criterion:
    unread = Evidence(source="this run", saw="the hop could not be read, see its step")
    return Criterion(number=number, claim=CLAIMS[number], outcome="not_checked", evidence=(unread,))


def followed(sent: TrafficRun, seen: Seen) -> Ledger:
    """Return every row through every hop, and the sums of both counters."""
    by_sink = seen.page.sums if seen.page else unread_sums("sink", sent.created)
    by_prometheus = seen.samples.sums if seen.samples else unread_sums("Prometheus", sent.created)
    own = seen.events.own if seen.events else {}
    logged: dict[Key, HopSight] = {}
    if seen.events and seen.lines is not None:
        logged = log_sights(seen.events.since(log_since(sent)), seen.lines)
    sampled_at = seen.samples.first_at if seen.samples else {}
    by_topic = seen.panels.by_topic if seen.panels else None

    def row(entity: Created) -> LedgerRow:
        key = (entity.topic, entity.id)
        event = own.get(key)
        sampled = counter_sight("prometheus", event, by_prometheus, at=sampled_at.get(key))
        read_at = min((at for at in (seen.page and seen.page.at, sampled_at.get(key)) if at), default=None)
        return LedgerRow(
            created=entity,
            hops=(
                api_sight(entity),
                kafka_sight(event) if seen.events else _not_read("kafka"),
                logged.get(key) or _not_read("sink log"),
                counter_sight("counter", event, by_sink, at=read_at),
                sampled,
                panel_sight(event, by_topic, sampled),
            ),
        )

    return Ledger(run_id=sent.run_id, rows=tuple(map(row, sent.created)), sums=(*by_sink, *by_prometheus))


def _not_read(hop: str) -> HopSight:
    return HopSight(hop=hop, outcome="not_checked", saw="the hop or the event could not be read")
