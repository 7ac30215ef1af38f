"""What a journal is: the sink's memory, in which counts and positions move together.

Kafka's commits cannot be made in one step with a count, so a sink that only has them counts some events twice, or
never, when it is killed. A journal writes the counts of a batch, the offsets after it and (if asked) its messages in
*one* database transaction, and reading starts where the journal says.

*Fence.* Each transaction moves a partition from the offset that its writer believes in: `SET next = hi WHERE next =
lo`. If that matches no row, another member has counted since: nothing is written, and the writer reads the positions
again. It is the last *stored* offset that is compared, for Kafka's offsets have gaps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sink.decoding import Reason

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


class JournalAwayError(Exception):
    """The journal does not answer; it is tried again. The message is for the operator, and holds no secret."""


class JournalRefusedError(Exception):
    """This journal cannot be used by this sink; trying again does not help."""


class OvertakenError(Exception):
    """Another member has counted events of these partitions; nothing of this entry was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the counting of a partition has come to.

    `epoch` grows when the same offsets begin to mean other messages: the topic was made anew, or Kafka lost its end.
    """

    next_offset: int
    cluster: str  # the id of the Kafka cluster; empty if the broker tells none
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Messages of one partition to keep, in the order of their offsets, by column: events, or with a reason none."""

    topic: str
    partition: int
    epoch: int = 0
    offsets: Sequence[int]
    tenants: Sequence[str | None]
    types: Sequence[str | None]
    reasons: Sequence[Reason | None]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def size(self) -> int:
        """Return about how many bytes are kept."""
        return sum(map(len, filter(None, self.values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that one transaction writes. `moves` holds for each partition the offset before and after."""

    moves: Mapping[Partition, tuple[int, int]]
    ingested: Mapping[tuple[str, str], int]  # by tenant and topic
    rejected: Mapping[tuple[str, Reason], int]  # by topic and reason
    stretches: Sequence[Stretch] = ()

    def messages(self) -> int:
        """Return how many messages are kept."""
        return sum(len(stretch.offsets) for stretch in self.stretches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Everything counted since the journal began, in the order in which it was first seen."""

    ingested: Mapping[tuple[str, str], int] = field(default_factory=dict)
    rejected: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Journal(Protocol):
    """The writing side, used by the thread of the loop alone."""

    name: str
    """What the log calls it."""
    keeps_rows: bool
    """Whether `Entry.stretches` are wanted."""
    is_total: bool
    """Whether this process is the only writer, so that its counters go on from the journal's totals."""

    def open(self) -> None:
        """Connect, and bring the schema up to date. Raises JournalAwayError, JournalRefusedError."""

    def totals(self) -> Totals:
        """Return everything counted. Raises JournalAwayError."""

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are known. Raises JournalAwayError."""

    def place(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions, from what was read (None: it is new) to what shall be.

        Raises JournalAwayError, and OvertakenError if another member has changed one since it was read.
        """

    def write(self, entry: Entry) -> None:
        """Write an entry in one transaction. Raises OvertakenError; JournalAwayError: then `settled` knows more."""

    def settled(self) -> bool:
        """Connect again, and say whether the entry whose `write` found the journal away was written after all.

        Raises JournalAwayError while the journal is still away, or does not know it yet.
        """

    def prune(self, most: int) -> int:
        """Delete rows that are too old or too many, but no more than `most`; return how many.

        Raises JournalAwayError.
        """

    def close(self) -> None:
        """Let go of the journal."""
