"""Reading a counter again until it accounts for every event of the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from runbook.commands.verify.events import EVERY_S, EventsSeen, events_since
from runbook.commands.verify.reached import sink_has_ended
from runbook.conservation.own_events import Key
from runbook.conservation.run_sums import RunSums, run_sums, sums_without_positions, unread_sums
from runbook.conservation.segments import restarted
from runbook.conservation.snapshot import Snapshot
from runbook.conservation.traffic_run import TrafficRun
from runbook.errors import RunbookError
from runbook.model import LedgerSum
from runbook.settings import Target
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.runtime import Runtime
from runbook.systems.sink.client import SinkPage
from runbook.waiting import watch
from runbook.wording import moment

Chains = Sequence[Sequence[Snapshot]]
"""The snapshots of each instance in order of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsSeen:
    """A counter's sums and the page they come from.

    Every event is counted by `at`; `first_at` says of some that they were counted earlier already.
    """

    sums: tuple[LedgerSum, ...]
    at: datetime
    notes: tuple[str, ...] = ()
    page: SinkPage | None = None
    first_at: dict[Key, datetime] = field(default_factory=dict)


_SETTLED_WITHIN = timedelta(seconds=10)
"""So long partitions may take to come back from a member that has left the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Reads a counter until every event of the run is counted and every sum closes, or the time is over.

    What is read ends at `reads_until`, if that is given: after that nothing changes. `instances` are those of the sink
    that Prometheus has seen since the run began, 0 where it cannot say; None: those that are read.
    """

    target: Target
    sent: TrafficRun
    runtime: Runtime
    timeout_s: float
    reads_until: datetime | None = None
    instances: int | None = None

    def counts(self, source: str, read: Callable[[], Chains], events: EventsSeen | None) -> CountsSeen:
        """Return the counter as it was read last. Raises what `read` raises."""
        began = datetime.now(UTC)

        def look() -> tuple[CountsSeen, bool]:
            chains = read()
            found = self._closed(source, chains, events)
            at = max(chain[-1].at for chain in chains)
            notes = (*found.notes, *found.late)
            may_close = found.may_close or (_is_moved(chains) and datetime.now(UTC) - began < _SETTLED_WITHIN)
            is_over = found.is_closed or not may_close or sink_has_ended(self.runtime, self.target)
            return CountsSeen(sums=found.sums, notes=notes, at=at), is_over

        is_past = self.reads_until is not None and datetime.now(UTC) > self.reads_until
        return watch(look, deadline_s=0 if is_past else self.timeout_s, every_s=EVERY_S)[0]

    def _closed(self, source: str, chains: Chains, events: EventsSeen | None) -> RunSums:
        created = self.sent.created
        if events is None:
            why = "the events in Kafka could not be read"
            return RunSums(sums=unread_sums(source, created, None), notes=(why,))
        if any(one.positions for chain in chains for one in chain):
            return self._over_rebalances(source, chains, self._events_of(chains, events))
        why = self._why_not_without_positions(chains)
        if why:
            return RunSums(sums=unread_sums(source, created, events.ours), notes=(why,))
        before, after = chains[0][0], chains[0][-1]
        ends = self.sent.baseline.end_offsets or ()
        return sums_without_positions(
            created, events.every, source=source, before=before, after=after, end_offsets=ends
        )

    def _over_rebalances(self, source: str, chains: Chains, events: Sequence[CrmEvent]) -> RunSums:
        """Return the sums, over changes of the partitions if no other instance was seen.

        Where nobody can say that, only if they close.
        """
        instances = len(chains) if self.instances is None else self.instances

        def sums(*, spans: bool) -> RunSums:
            alone = instances <= 1
            return run_sums(self.sent.created, events, chains, source=source, is_alone=alone, spans_rebalances=spans)

        if instances:
            return sums(spans=instances == 1)
        spanned = sums(spans=True)
        return spanned if spanned.is_closed else sums(spans=False)

    def _why_not_without_positions(self, chains: Chains) -> str:
        """Return why the counters of a sink that shows no positions cannot be compared; empty if they can."""
        if len(chains) > 1:
            return f"{len(chains)} instances of the sink show no positions: which events each has read is not known"
        (chain,) = chains
        first_sent = min(one.sent_at for one in self.sent.created)
        if self.sent.baseline.end_offsets is None or chain[0].at > first_sent:
            return "it was not read before the run"
        if len(chain) == 1:
            return "" if chain[0] is self.sent.baseline.sampled else "it was not read before the run"
        restarted_at = self._restarted_at()
        if restarted_at and None in {chain[0].started_s, chain[-1].started_s}:
            return f"the sink, which shows no positions, was restarted at {moment(restarted_at)}"
        for before, after in pairwise(chain):
            why = restarted(before, after)
            if why:
                return f"{why} before {moment(after.at)}, and it shows no positions"
        return ""

    def _restarted_at(self) -> datetime | None:
        """Return when the sink was started, if that was after the baseline."""
        try:
            started_at = self.runtime.state(self.target.sink.as_service).started_at
        except RunbookError:
            return None
        return started_at if started_at and started_at > self.sent.baseline.at else None

    def _events_of(self, chains: Chains, events: EventsSeen) -> tuple[CrmEvent, ...]:
        """Return every event between the first and the newest positions; Kafka was read for a part of that, maybe."""
        ends = dict(events.first)
        for event in events.every:
            place = (event.topic, event.partition)
            ends[place] = max(ends.get(place, 0), event.offset + 1)
        known = [one for chain in chains for one in chain if one.positions]
        below: dict[tuple[str, int], int] = {}
        is_known = True
        for position in (position for one in known for position in one.positions):
            place = (position.topic, position.partition)
            below[place] = min(position.offset, below.get(place, position.offset))
            is_known &= events.first.get(place, 0) <= below[place] and position.offset <= ends.get(place, 0)
        return events.every if is_known else events_since(self.target, self.sent, self.timeout_s, below=below)[0]


def _is_moved(chains: Chains) -> bool:
    """Whether an instance has other partitions now than before the run."""
    return any(chain[0].positions and chain[-1].partitions != chain[0].partitions for chain in chains)
