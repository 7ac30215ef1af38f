"""What a journal is: the sink's durable state, in which counts and positions are committed together.

Kafka cannot commit an offset and a count in one step. A sink that has only Kafka's commits counts some events twice, or
never, when it is killed. A journal writes the counts of a batch, the offsets after it and (if configured) its messages
in *one* database transaction, and reading starts at the journal's positions.

*Fencing.* Each transaction advances a partition from the offset that its writer has read: `SET next = hi WHERE next =
lo`. If that matches no row, another member has counted since: nothing is written, and the writer reads the positions
again. The last *stored* offset is compared, because Kafka's offsets have gaps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sink.decoding import RejectReason

Partition = tuple[str, int]
"""A topic and the number of one of its partitions."""


class JournalUnavailableError(Exception):
    """The journal does not answer; the sink tries again. The message is for the operator, and holds no secret."""


class JournalUnusableError(Exception):
    """This sink cannot use this journal; trying again does not help."""


class FencedError(Exception):
    """Another member has counted events of these partitions; nothing of this entry was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The offset of the next message to count in a partition.

    `epoch` grows when the same offsets begin to mean other messages: the topic was recreated, or Kafka lost its newest
    messages.
    """

    next_offset: int
    cluster: str  # the id of the Kafka cluster; empty if the broker does not tell it
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRun:
    """Consecutive messages of one partition to store, by column, in the order of their offsets.

    A message with a reason was rejected, and has no tenant and no type.
    """

    topic: str
    partition: int
    epoch: int = 0
    offsets: Sequence[int]
    tenants: Sequence[str | None]
    types: Sequence[str | None]
    reasons: Sequence[RejectReason | None]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def value_bytes(self) -> int:
        """Return the size of all values."""
        return sum(map(len, filter(None, self.values)))


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """All that one transaction writes. `moves` has the offset before and after for each partition."""

    moves: Mapping[Partition, tuple[int, int]]
    ingested: Mapping[tuple[str, str], int]  # by tenant and topic
    rejected: Mapping[tuple[str, RejectReason], int]  # by topic and reason
    message_runs: Sequence[MessageRun] = ()

    def message_count(self) -> int:
        """Return how many messages are stored."""
        return sum(len(run.offsets) for run in self.message_runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Everything counted since the journal was created, in the order in which it was first counted."""

    ingested: Mapping[tuple[str, str], int] = field(default_factory=dict)
    rejected: Mapping[tuple[str, str], int] = field(default_factory=dict)


class Journal(Protocol):
    """The writing side, used by the thread of the poll loop alone."""

    name: str
    """Its address without a password, for the log."""
    stores_messages: bool
    """Whether `JournalEntry.message_runs` are stored."""
    restores_totals: bool
    """Whether this process is the only writer, so that its counters continue from the journal's totals."""

    def open(self) -> None:
        """Connect, and migrate the schema. Raises JournalUnavailableError, JournalUnusableError."""

    def totals(self) -> Totals:
        """Return everything counted. Raises JournalUnavailableError."""

    def positions(self, partitions: Iterable[Partition]) -> dict[Partition, Position]:
        """Return the positions that are stored. Raises JournalUnavailableError."""

    def set_positions(self, changes: Mapping[Partition, tuple[Position | None, Position]]) -> None:
        """Replace positions: for each partition the one that was read (None: not stored yet), and the new one.

        Raises JournalUnavailableError, and FencedError if another member has changed one since it was read.
        """

    def write(self, entry: JournalEntry) -> None:
        """Write an entry in one transaction.

        Raises FencedError, and JournalUnavailableError: then `reconnect` finds out whether the entry was committed.
        """

    def reconnect(self) -> bool:
        """Connect again, and return whether the entry whose `write` was not answered was committed.

        Raises JournalUnavailableError while the journal does not answer, or does not know it yet.
        """

    def prune(self, most: int) -> int:
        """Delete messages that are too old or too many, from no more than `most` ids; return how many.

        Raises JournalUnavailableError.
        """

    def close(self) -> None:
        """Close the connection, and release the lock if there is one."""
