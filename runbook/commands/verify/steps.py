"""Steps 5 and 6 of the runbook: the five success criteria, and the ledger of one traffic run through every hop.

Nothing is taken for granted: a hop that cannot be read is not checked, a sum must close exactly, and a rate above
zero is never the only proof. Without a traffic run the flow is judged by real traffic, see passive.py.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from runbook.commands.apply.steps import warn_of_unfinished
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.commands.verify.alert import alert_rule
from runbook.commands.verify.counters import prometheus_counts, sink_counts
from runbook.commands.verify.criteria import Seen, judged
from runbook.commands.verify.events import EventsSeen, another_stack, kafka_events
from runbook.commands.verify.followed import followed
from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.panels import panels_seen
from runbook.commands.verify.passive import passive_result
from runbook.commands.verify.reached import Reached
from runbook.commands.verify.result import VerifyResult
from runbook.commands.verify.sink_log import sink_lines
from runbook.conservation.traffic_run import NothingSentError, TrafficRun, traffic_run
from runbook.errors import ExitCode, RunbookError
from runbook.invocation import inv
from runbook.model import Problem, Sight
from runbook.settings import Target


class _AnotherStackError(RunbookError):
    """The run was made on something that is gone."""

    exit_code = ExitCode.INCONCLUSIVE


def verify(context: RunContext, options: VerifyOptions) -> VerifyResult:
    """Prove a traffic run, or judge the real traffic; the time-out bounds the wait at each hop.

    Exit code 0: all is proven; 1: something failed; 3: something could not be checked.
    """
    warn_of_unfinished(context.state_dir, context.screen)
    task_run = TaskRun("verify", context)
    try:
        sent = _sent(context, options, task_run)
        found = _proven(context, options, task_run, sent) if sent else passive_result(context, options, task_run)
    except _AnotherStackError as error:
        ended = task_run.failure(VerifyResult, error)
        return replace(ended, outcome="inconclusive")
    except RunbookError as error:
        return task_run.failure(VerifyResult, error)
    return _ended(context, task_run, found)


def _ended(context: RunContext, task_run: TaskRun, found: VerifyResult) -> VerifyResult:
    """Decide by everything that was judged; what is not proven ends with the first fix."""
    outcomes = {one.outcome for one in found.criteria or ()} | {one.outcome for one in found.boundaries or ()}
    outcome, code = _worst(outcomes | ({found.ledger.outcome} if found.ledger else set()))
    if not code:
        return replace(found, outcome=outcome, exit_code=int(code))
    context.screen.says(f"what is broken is named by: {inv('troubleshoot')}")
    unproven = next((one for one in found.criteria or () if one.outcome != "ok"), None)
    seen = unproven.claim if unproven else "not every row is proven"
    where = unproven.evidence[0].source if unproven else "the ledger"
    problem = task_run.first_unproven or Problem(seen=f"Not proven: {seen}", where=where, fix=inv("troubleshoot"))
    return replace(found, outcome=outcome, exit_code=int(code), problem=problem)


def _worst(outcomes: set[Sight]) -> tuple[str, ExitCode]:
    if "failed" in outcomes:
        return "failed", ExitCode.PROBLEM
    return ("inconclusive", ExitCode.INCONCLUSIVE) if "not_checked" in outcomes else ("ok", ExitCode.OK)


def _sent(context: RunContext, options: VerifyOptions, task_run: TaskRun) -> TrafficRun | None:
    """Return the run that is to be proven; None: the real traffic is judged, as no run is meant or none is there."""
    if options.passive:
        return None

    def found() -> StepOutput[TrafficRun | None]:
        try:
            sent = traffic_run(context.state_dir, target=context.target.name, run_id=options.run_id)
        except NothingSentError as error:
            if options.run_id:
                raise
            context.screen.says(f"{error.seen} ({error.where}): the real traffic is judged")
            return StepOutput(value=None, outcome="unchanged", reason=error.seen)
        _refuse_another_stack(context.target, sent)
        reason = f"run {sent.run_id}: {len(sent.created)} of {sent.wanted} entities were created"
        return StepOutput(value=sent, outcome="ok", reason=reason)

    sent = task_run.step("traffic run", 5, found)
    for note in sent.notes if sent else ():
        context.screen.says(note)
    return sent


def _refuse_another_stack(target: Target, sent: TrafficRun) -> None:
    """End at once where nothing of the run can come any more. Kafka that cannot be read is told at its own hop."""
    gone: RunbookError | None = None
    with suppress(RunbookError):
        gone = another_stack(target, sent)
    if gone:
        raise _AnotherStackError(gone.seen, where=gone.where, fix=gone.fix)


def _proven(context: RunContext, options: VerifyOptions, task_run: TaskRun, sent: TrafficRun) -> VerifyResult:
    """Follow the run through every hop."""
    target, runtime, timeout_s = context.target, context.runtime, options.timeout_s
    reached = Reached(runtime, timeout_s)
    sink, prometheus = target.sink.as_service, target.prometheus.as_service
    events = task_run.look(
        "Kafka", 5, lambda: reached.look(target.kafka.as_service, lambda: kafka_events(target, sent, timeout_s))
    )
    counts = task_run.look(
        "sink metrics", 5, lambda: reached.look(sink, lambda: sink_counts(target, sent, events, runtime, timeout_s))
    )
    lines = task_run.look("sink log", 5, lambda: sink_lines(target, sent, events, runtime, timeout_s))
    samples = task_run.look(
        "Prometheus",
        6,
        lambda: reached.look(prometheus, lambda: prometheus_counts(target, sent, events, runtime, timeout_s)),
    )
    panels = task_run.look(
        "panels",
        6,
        lambda: reached.look(target.grafana.as_service, lambda: panels_seen(target, sent, events, samples, timeout_s)),
    )
    alert = task_run.look("alert rule", 2, lambda: reached.look(prometheus, lambda: alert_rule(target, timeout_s)))
    seen = Seen(
        events=events,
        lines=lines,
        page=counts.page if counts else None,
        counts=counts,
        samples=samples,
        panels=panels,
        alert=alert,
        quiet=_quiet(target, events),
        unread={name: one.seen for name, (outcome, one) in task_run.unproven.items() if outcome == "not_checked"},
    )
    result = task_run.result(VerifyResult, "ok", ExitCode.OK)
    return replace(result, criteria=judged(target, seen), ledger=followed(sent, seen))


def _quiet(target: Target, events: EventsSeen | None) -> Mapping[str, str]:
    """Return the topics of which Kafka has held no event since the baseline, with the reason that tells so."""
    if events is None:
        return {}
    held = {event.topic for event in events.every if not event.content.rejected}
    topics = (target.kafka.lead_topic, target.kafka.job_topic)
    return {topic: f"no event of {topic} since the run began" for topic in topics if topic not in held}
