"""Steps 1 to 6 as one record: setup, traffic, verify."""

from dataclasses import replace
from pathlib import Path

from runbook.commands.setup.steps import Confirm, SetupOptions, setup
from runbook.commands.traffic.steps import TrafficOptions, traffic
from runbook.commands.verify.steps import verify
from runbook.errors import ExitCode
from runbook.model import TaskResult
from runbook.observer import Observer
from runbook.runs.run_log import RunLog
from runbook.settings import Target
from runbook.systems.runtime import Runtime


def run(
    target: Target,
    setup_options: SetupOptions,
    traffic_options: TrafficOptions,
    *,
    runtime: Runtime,
    state_dir: Path,
    record: RunLog,
    observer: Observer,
    confirm: Confirm,
) -> TaskResult:
    """Carry out the runbook; the first task that does not end well ends the run with its exit code.

    Traffic that an error stopped half-way is still verified: what was created is accounted for.
    """
    begun = setup(
        target,
        setup_options,
        runtime=runtime,
        state_dir=state_dir,
        record=record,
        observer=observer,
        confirm=confirm,
    )
    if begun.exit_code:
        return replace(begun, task="run")
    sent = traffic(target, traffic_options, state_dir=state_dir, record=record, observer=observer)
    steps = begun.steps + sent.steps
    if sent.exit_code == ExitCode.INTERRUPTED or sent.ledger is None or not sent.ledger.rows:
        duration_s = round(begun.duration_s + sent.duration_s, 3)
        return replace(
            sent, task="run", started_at=begun.started_at, duration_s=duration_s, steps=steps, diff=begun.diff
        )
    proven = verify(
        target,
        runtime=runtime,
        state_dir=state_dir,
        record=record,
        observer=observer,
        run_id=record.run_id,
        timeout_s=traffic_options.timeout_s,
    )
    worst = sent if sent.exit_code else proven
    return replace(
        proven,
        task="run",
        started_at=begun.started_at,
        duration_s=round(begun.duration_s + sent.duration_s + proven.duration_s, 3),
        outcome=worst.outcome,
        exit_code=worst.exit_code,
        problem=worst.problem,
        steps=steps + proven.steps,
        diff=begun.diff,
    )
