"""The traffic run that is to be proven, as its run_log tells it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from runbook.commands.traffic.counter_snapshot import Position, Snapshot
from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.model import Created
from runbook.runs.run_log import RunLog, last_run, open_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What stood before the first request. None where it could not be read: those sums stay not checked."""

    at: datetime
    page: Snapshot | None
    sampled: Snapshot | None
    end_offsets: tuple[Position, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRun:
    """One traffic run: what was wanted, what was created, and what stood before."""

    run_id: str
    wanted: int
    created: tuple[Created, ...]
    baseline: Baseline
    started_at: datetime

    @property
    def ended_at(self) -> datetime:
        """When the last request was answered."""
        return max(entity.answered_at for entity in self.created)

    @property
    def tenants(self) -> frozenset[str]:
        """The tenants that this run created for."""
        return frozenset(entity.tenant_id for entity in self.created)

    def first_offset(self, topic: str, partition: int) -> int | None:
        """Return the lowest offset that any of the baselines leaves open in a partition; None when none knows it."""
        snapshots = (self.baseline.page, self.baseline.sampled)
        known = [one.position(topic, partition) for one in snapshots if one]
        known += [
            place.offset
            for place in self.baseline.end_offsets or ()
            if (place.topic, place.partition) == (topic, partition)
        ]
        return min((offset for offset in known if offset is not None), default=None)


def traffic_run(state_dir: Path, *, target: str, run_id: str | None) -> TrafficRun:
    """Return the traffic run `run_id`, or the newest one on the target.

    Raises RunbookError when there is none, or when it created nothing: then there is nothing to prove.
    """
    if run_id:
        run_log: RunLog | None = open_run(state_dir, run_id, target=target)
    else:
        run_log = last_run(state_dir, target=target, holding="traffic")
    if run_log is None:
        raise RunbookError(
            f"There is no traffic run on target {target!r} yet",
            where=str(state_dir / "runs"),
            fix=f"{inv('traffic')}, then {inv('verify')}",
        )
    begun, created = run_log.events("traffic"), run_log.events("created")
    if not begun or not created:
        raise RunbookError(
            f"Run {run_log.run_id} created no lead and no job: there is nothing to prove",
            where=str(run_log.folder),
            fix=f"{inv('traffic')}, then {inv('verify')}",
        )
    baselines = run_log.events("baseline")
    nothing = Baseline(at=begun[0].at, page=None, sampled=None, end_offsets=None)
    return TrafficRun(
        run_id=run_log.run_id,
        wanted=begun[0].data["leads"] + begun[0].data["jobs"],
        created=tuple(msgspec.convert(event.data, Created) for event in created),
        baseline=msgspec.convert(baselines[0].data, Baseline) if baselines else nothing,
        started_at=begun[0].at,
    )
