"""The runbook's Troubleshooting: walk the hops, name the first broken one, print the fix.

Changes nothing, unless it was asked to send a probe.
"""

from dataclasses import replace
from datetime import timedelta

from runbook.commands.apply.steps import warn_of_unfinished
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.steps import traffic
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.diagnosis.catalogue import graph_of
from runbook.diagnosis.checks.gateway import newest_traffic
from runbook.diagnosis.engine import Examined
from runbook.diagnosis.facts import Facts, utc_now
from runbook.diagnosis.verdict import verdict
from runbook.errors import ExitCode, RunbookError
from runbook.model import Evidence, StepOutcome, Verdict

_STEP = 5  # the runbook's troubleshooting follows its step "Verify Sink is Processing Events"
_READING_S = 3.0
_WAITING = 0.6  # of the deadline: what waits for a scrape leaves time for what needs it
_EXIT_CODES = {
    "healthy": ExitCode.OK,
    "fault": ExitCode.PROBLEM,
    "inconclusive": ExitCode.INCONCLUSIVE,
}
_OUTCOMES: dict[str, StepOutcome] = {"healthy": "ok", "fault": "failed", "inconclusive": "not_checked"}

Examination = tuple[tuple[Examined[Facts], ...], Verdict, tuple[Verdict, ...]]


def troubleshoot(context: RunContext, options: TroubleshootOptions) -> TroubleshootResult:
    """Look at every hop of the target, or at one with what it needs, within the time-out.

    Exit code 0 healthy, 1 a fault was named, 3 inconclusive, or, if that is strict, healthy although nothing crossed a
    boundary of the flow. An unknown hop ends it with UsageError's code.
    """
    deadline_s = options.timeout_s
    if options.probe:  # how it ends is seen again, at the hop that it did not pass
        traffic(context, TrafficOptions(leads=1, jobs=1, yes=True, timeout_s=deadline_s))
    warn_of_unfinished(context.state_dir, context.screen)
    task_run = TaskRun("troubleshoot", context)
    facts = Facts(
        context.target,
        context.runtime.at_one_look(),
        state_dir=context.state_dir,
        timeout_s=min(_READING_S, deadline_s),
        waiting_s=_WAITING * deadline_s,
        since=utc_now() - timedelta(seconds=options.since_s) if options.since_s else None,
    )
    try:
        examined, judged, also = task_run.step("hops", _STEP, lambda: _examined(facts, options.hop, deadline_s))
        for damaged in newest_traffic(facts).passed_over:
            context.screen.says(str(damaged))
    except RunbookError as error:
        return task_run.failure(TroubleshootResult, error)
    context.run_log.append("verdict", judged)
    code = _EXIT_CODES[judged.outcome]
    if options.strict and judged.outcome == "healthy" and judged.not_exercised:
        code = ExitCode.INCONCLUSIVE
    result = task_run.result(TroubleshootResult, judged.outcome, code)
    return replace(result, verdict=judged, also=also, checks=tuple(one.result for one in examined))


def _examined(facts: Facts, hop: str | None, deadline_s: float) -> StepOutput[Examination]:
    has_runtime = facts.target.runtime.is_managed
    examined = graph_of(hop, has_runtime=has_runtime).examine(facts, deadline_s=deadline_s)
    judged, also = verdict(examined)
    statuses = [one.result.status for one in examined]
    left_out = "" if has_runtime else "; what runs the services is not asked: the runtime of this target is none"
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    return StepOutput(
        value=(examined, judged, also),
        outcome=_OUTCOMES[judged.outcome],
        reason=f"{judged.code} {judged.claim}".strip(),
        evidence=(Evidence(source=f"{len(examined)} checks", saw=f"{counts}{left_out}"),),
    )
