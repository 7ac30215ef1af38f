"""Steps 1 to 6 as one run: setup, traffic, verify."""

from dataclasses import replace

from runbook.commands.run.options import RunOptions
from runbook.commands.run.result import RunResult
from runbook.commands.run_context import RunContext
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.commands.traffic.result import TrafficResult
from runbook.commands.traffic.steps import traffic
from runbook.commands.verify.result import VerifyResult
from runbook.commands.verify.steps import verify
from runbook.errors import ExitCode


def run_all(context: RunContext, options: RunOptions) -> RunResult:
    """Carry out the runbook under one lock; the first command that does not end well ends the run with its exit code.

    Traffic that an error stopped half-way is still verified: what was created is accounted for.
    """
    with context.locked():
        if options.datasource_uid:  # the panels lead there: verify looks there, too
            grafana = context.target.grafana.model_copy(update={"datasource_uid": options.datasource_uid})
            context.target = replace(context.target, grafana=grafana)
        applied = setup(context, options.of_setup)
        if applied.exit_code:
            return _result(applied, diff=applied.diff)
        sent = traffic(context, options.of_traffic)
        if sent.exit_code == ExitCode.INTERRUPTED or sent.ledger is None or not sent.ledger.rows:
            return _result(applied, sent, diff=applied.diff)
        proven = verify(context, options.of_verify(context.run_log.run_id))
        return _result(applied, sent, proven, diff=applied.diff)


def _result(*parts: SetupResult | TrafficResult | VerifyResult, diff: str | None) -> RunResult:
    """Put the results of the commands together: the first one that failed decides, the last ledger stands."""
    first, last = parts[0], parts[-1]
    worst = next((part for part in parts if part.exit_code), last)
    return RunResult(
        task="run",
        target=last.target,
        run_id=last.run_id,
        started_at=first.started_at,
        duration_s=round(sum(part.duration_s for part in parts), 3),
        outcome=worst.outcome,
        exit_code=worst.exit_code,
        problem=worst.problem,
        steps=tuple(step for part in parts for step in part.steps),
        diff=diff,
        criteria=last.criteria if isinstance(last, VerifyResult) else None,
        ledger=None if isinstance(last, SetupResult) else last.ledger,
    )
