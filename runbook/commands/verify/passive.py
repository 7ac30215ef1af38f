"""Verify without a run of its own: the criteria and the boundaries of the flow, by the traffic that there is.

Nothing is created, which production may ask for.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.commands.verify.alert import alert_rule
from runbook.commands.verify.criteria import Seen, judged
from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.panels import panels_between
from runbook.commands.verify.result import JudgedBoundary, VerifyResult, judged_boundary
from runbook.commands.verify.sink_log import LinesSeen, lines_output, why_incomplete
from runbook.conservation.boundary import Boundary
from runbook.conservation.ledger import received_lines
from runbook.conservation.own_events import CLOCK_TOLERANCE
from runbook.diagnosis.boundaries import kafka_sink, prometheus_grafana, sink_prometheus
from runbook.diagnosis.boundaries.window import remembered
from runbook.diagnosis.facts import Facts
from runbook.errors import ExitCode, RunbookError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.http import answer_s
from runbook.systems.sink.client import SinkPage
from runbook.wording import counted, moment

WINDOW: Final = timedelta(minutes=15)
_BOUNDARIES: Final[tuple[tuple[str, int, Callable[[Facts], Boundary]], ...]] = (
    ("Kafka to sink", 5, kafka_sink),
    ("sink to Prometheus", 6, sink_prometheus),
    ("Prometheus to Grafana", 6, prometheus_grafana),
)


def passive_result(context: RunContext, options: VerifyOptions, task_run: TaskRun) -> VerifyResult:
    """Judge the flow by what crossed it since a time; whoever asked decides by criteria and boundaries how it ended."""
    timeout_s = options.timeout_s
    since = datetime.now(UTC) - (timedelta(seconds=options.since_s) if options.since_s else WINDOW)
    facts = Facts(
        context.target,
        context.runtime,
        state_dir=context.state_dir,
        timeout_s=answer_s(timeout_s),
        waiting_s=timeout_s,
        since=since,
    )
    boundaries = [_boundary(task_run, facts, *one) for one in _BOUNDARIES]
    newest = task_run.look("newest events", 5, lambda: _newest_events(facts, since))
    quiet = {} if newest is None else newest
    lines = task_run.look("sink log", 5, lambda: _lines(facts, since, quiet))
    page = task_run.look("sink metrics", 5, lambda: _page(facts))
    panels = task_run.look(
        "panels",
        6,
        lambda: panels_between(
            context.target,
            start=since,
            end=lambda: datetime.now(UTC),
            since=dict.fromkeys(_topics(facts) - quiet.keys(), since) if newest is not None else {},
            tenants=(),
            timeout_s=timeout_s,
        ),
    )
    alert = task_run.look("alert rule", 2, lambda: alert_rule(context.target, timeout_s))
    if newest is None:  # what Kafka holds is not known, so nothing can be called missing
        quiet = dict.fromkeys(_topics(facts), "whether there was an event could not be read")
    seen = Seen(lines=lines, page=page, panels=panels, alert=alert, quiet=quiet)
    result = task_run.result(VerifyResult, "ok", ExitCode.OK)
    return replace(result, criteria=judged(context.target, seen), boundaries=tuple(boundaries))


def _boundary(
    task_run: TaskRun, facts: Facts, name: str, number: int, read: Callable[[Facts], Boundary]
) -> JudgedBoundary:
    """Look at one boundary; what cannot be read is not checked, and its step says what to do."""

    def look() -> StepOutput[JudgedBoundary]:
        found = judged_boundary(read(facts))
        reason = found.reason if found.is_exercised or found.outcome != "ok" else f"not exercised: {found.reason}"
        evidence = (Evidence(source=name, saw=reason), *(Evidence(source=name, saw=note) for note in found.notes))
        fix = f"{inv('verify --passive')} again after two more scrapes"
        if found.outcome == "failed":
            fix = inv("troubleshoot")
        return StepOutput(value=found, outcome=found.outcome, reason=reason, evidence=evidence, fix=fix)

    seen = task_run.look(name, number, look)
    if seen is not None:
        return seen
    _, problem = task_run.unproven[name]
    return JudgedBoundary(name=name, outcome="not_checked", is_exercised=False, reason=problem.seen)


def _topics(facts: Facts) -> set[str]:
    return {facts.target.kafka.lead_topic, facts.target.kafka.job_topic}


def _newest_events(facts: Facts, since: datetime) -> StepOutput[Mapping[str, str]]:
    """Return, by topic, why neither panels nor log owe anything on it; topics with events since then are left out."""
    newest = facts.topics().newest
    begins = _remembered_since(facts)
    quiet: dict[str, str] = {}
    for topic, at in newest.items():
        if at is None or at < since:
            quiet[topic] = f"no event of {topic} since {moment(since)}"
        elif begins is None or at < begins:
            known = f"has samples only since {moment(begins)}" if begins else "holds no sample of the sink"
            quiet[topic] = f"the newest event of {topic} is of {moment(at)}, and Prometheus {known}"
    saw = "; ".join(f"{topic}: {moment(at) if at else 'none'}" for topic, at in newest.items())
    evidence = (Evidence(source=f"Kafka at {facts.target.kafka.bootstrap}", saw=saw),)
    if not quiet:
        return StepOutput(value=quiet, outcome="ok", reason=saw, evidence=evidence)
    fix = f"{inv('traffic')} creates some, or {inv('verify --passive')} after real traffic"
    return StepOutput(value=quiet, outcome="not_checked", reason="; ".join(quiet.values()), evidence=evidence, fix=fix)


def _remembered_since(facts: Facts) -> datetime | None:
    """Return the time of the oldest sample of the sink that Prometheus holds of the window; None: none, or not read."""
    with suppress(RunbookError):
        return min((of_it[0].at for of_it in remembered(facts).values() if of_it), default=None)
    return None


def _lines(facts: Facts, since: datetime, quiet: Mapping[str, str]) -> StepOutput[LinesSeen]:
    """Return the sink's lines since a time; none is missing where there was no lead."""
    runtime, service = facts.runtime, facts.target.sink.as_service
    lines = tuple(one for one in received_lines(runtime.log(service, since=since)) if one.at >= since - CLOCK_TOLERANCE)
    is_missing = facts.target.kafka.lead_topic not in quiet and not any(
        one.event_type == "lead.created" for one in lines
    )
    why, begins_at = why_incomplete(runtime, facts.target, since=since) if is_missing else ("", None)
    saw = f"{counted(len(lines), 'line')} since {moment(since)}" + (f", the last: {lines[-1].text}" if lines else "")
    seen = LinesSeen(lines=lines, why=why, begins_at=begins_at)
    return lines_output(seen, is_missing, saw, source=runtime.log_command(service))


def _page(facts: Facts) -> StepOutput[SinkPage]:
    page = facts.page_now()
    saw = f"{page.size_bytes} bytes, {counted(len(page.counters), 'counter')}"
    evidence = (Evidence(source=f"GET {facts.target.sink.metrics_url}", saw=saw),)
    return StepOutput(value=page, outcome="ok", reason=saw, evidence=evidence)
