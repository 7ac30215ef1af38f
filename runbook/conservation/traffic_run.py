"""The traffic run that is to be proven, as its log tells it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from runbook.conservation.snapshot import Position, Snapshot
from runbook.errors import FOREIGN, RunbookError
from runbook.invocation import inv
from runbook.model import Created
from runbook.runs.run_files import damaged
from runbook.runs.run_history import holds, newest_run, open_run
from runbook.runs.run_log import TRAFFIC, RunEvent


class NothingSentError(RunbookError):
    """No run of the target created anything: there is nothing to prove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What stood before the first request. None where it could not be read: those sums stay not checked.

    `cluster_id` is Kafka's own; empty where it was not read.
    """

    at: datetime
    page: Snapshot | None
    sampled: Snapshot | None
    end_offsets: tuple[Position, ...] | None
    cluster_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRun:
    """One traffic run: what was wanted, what was created, and what stood before.

    `notes` say which newer runs were passed over to find it.
    """

    run_id: str
    wanted: int
    created: tuple[Created, ...]
    baseline: Baseline
    started_at: datetime
    notes: tuple[str, ...] = ()

    @property
    def ended_at(self) -> datetime:
        """When the last request was answered."""
        return max(entity.answered_at for entity in self.created)

    @property
    def tenants(self) -> frozenset[str]:
        """The tenants that this run created for."""
        return frozenset(entity.tenant_id for entity in self.created)

    def first_offset(self, topic: str, partition: int) -> int | None:
        """Return the lowest offset that any of the baselines leaves open in a partition; None when none knows it.

        A partition that was not there yet begins at 0.
        """
        snapshots = (self.baseline.page, self.baseline.sampled)
        known = [one.position(topic, partition) for one in snapshots if one]
        known += [
            place.offset
            for place in self.baseline.end_offsets or ()
            if (place.topic, place.partition) == (topic, partition)
        ]
        new = None if self.baseline.end_offsets is None else 0
        return min((offset for offset in known if offset is not None), default=new)


def traffic_run(state_dir: Path, *, target: str, run_id: str | None) -> TrafficRun:
    """Return the traffic run `run_id`, or the newest one on the target that created something.

    Raises NothingSentError when there is none: then there is nothing to prove.
    """
    if run_id:
        run_log = open_run(state_dir, run_id, target=target)
        return _traffic_run(run_id, run_log.events(), folder=run_log.folder)
    newest = newest_run(state_dir, _is_operators, target=target)
    if newest.run_log is None:
        raise NothingSentError(
            f"There is no traffic run on target {target!r} yet",
            where="; ".join((str(state_dir / "runs"), *map(str, newest.passed_over))),
            fix=f"{inv('traffic')}, then {inv('verify')}",
        )
    found = newest if _has_created(newest.events) else newest_run(state_dir, _has_created, target=target)
    if found.run_log is None:
        raise _created_nothing(newest.run_log.run_id, newest.run_log.folder)
    run = _traffic_run(found.run_log.run_id, found.events, folder=found.run_log.folder)
    notes = [str(damaged) for damaged in found.passed_over]
    if found is not newest:
        notes.append(f"Run {newest.run_log.run_id} created nothing; the newest that did is run {run.run_id}")
    return replace(run, notes=tuple(notes))


def newest_traffic_run(state_dir: Path, *, target: str) -> TrafficRun | None:
    """Return the newest traffic run on the target that created something; None where there is none."""
    found = newest_run(state_dir, _has_created, target=target)
    if found.run_log is None:
        return None
    return _traffic_run(found.run_log.run_id, found.events, folder=found.run_log.folder)


def _has_created(events: Sequence[RunEvent]) -> bool:
    return _is_operators(events) and any(event.kind == "created" for event in events)


def _created_nothing(run_id: str, folder: Path) -> NothingSentError:
    return NothingSentError(
        f"Run {run_id} created no lead and no job: there is nothing to prove",
        where=str(folder),
        fix=f"{inv('traffic')}, then {inv('verify')}",
    )


def _is_operators(events: Sequence[RunEvent]) -> bool:
    """Whether a run is traffic that an operator asked for, and not what a fault injection needed."""
    return holds(TRAFFIC)(events) and not str(events[0].data.get("task")).startswith("stack.")


def _traffic_run(run_id: str, events: tuple[RunEvent, ...], *, folder: Path) -> TrafficRun:
    begun, created, baselines = (
        [event for event in events if event.kind == kind] for kind in (TRAFFIC, "created", "baseline")
    )
    if not begun or not created:
        raise _created_nothing(run_id, folder)
    nothing = Baseline(at=begun[0].at, page=None, sampled=None, end_offsets=None)
    try:
        return TrafficRun(
            run_id=run_id,
            wanted=begun[0].data["leads"] + begun[0].data["jobs"],
            created=tuple(msgspec.convert(event.data, Created) for event in created),
            baseline=msgspec.convert(baselines[0].data, Baseline) if baselines else nothing,
            started_at=begun[0].at,
        )
    except (*FOREIGN, KeyError, TypeError) as error:
        raise damaged(f"The run record holds what no traffic writes: {error}", folder) from None
