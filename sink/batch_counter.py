"""Counting a batch: first in the journal, in one transaction, then on /metrics, then in the log."""

import time
from collections.abc import Mapping
from typing import Final

from sink.batches import Batch
from sink.journal.model import FencedError, Journal, JournalUnavailableError, Partition
from sink.log_writer import LogWriter
from sink.metrics import Metrics

_PRUNE_EVERY_ROWS: Final = 1000
_PRUNE_IDLE_ROWS: Final = 1000


class BatchCounter:
    """Counts batches. With a journal, a batch is counted if and only if it is in the journal."""

    def __init__(self, journal: Journal | None, metrics: Metrics, log: LogWriter) -> None:
        self.journal = journal
        self._metrics = metrics
        self._log = log
        self._in_doubt: Batch | None = None  # its transaction was not answered
        self._unpruned_rows = 0  # messages stored since messages were deleted

    @property
    def stores_messages(self) -> bool:
        """Whether the journal stores every message."""
        return self.journal is not None and self.journal.stores_messages

    def count(self, batch: Batch, epochs: Mapping[Partition, int]) -> None:
        """Count a batch.

        Raises FencedError: it is not counted; JournalUnavailableError: `reconnect` finds out whether it is.
        """
        if self.journal is not None:
            entry = batch.journal_entry(self._metrics.next_offsets(), epochs)
            if any(high < low for low, high in entry.moves.values()):
                raise FencedError("Kafka delivered offsets that were counted before")
            try:
                if entry.moves:
                    self.journal.write(entry)
            except JournalUnavailableError:
                self._in_doubt = batch
                raise
            self._unpruned_rows += entry.message_count()
        self._publish(batch)
        if self._unpruned_rows >= _PRUNE_EVERY_ROWS:
            self._prune(2 * self._unpruned_rows)

    def reconnect(self) -> None:
        """Connect to the journal again, and publish the batch in doubt if it was committed after all.

        Raises JournalUnavailableError, JournalUnusableError.
        """
        if self.journal is None:
            return
        is_committed = self.journal.reconnect()
        batch, self._in_doubt = self._in_doubt, None
        if batch is not None and is_committed:
            self._publish(batch)

    def prune(self) -> None:
        """Delete some old messages when the loop is idle. Raises JournalUnavailableError."""
        if self.stores_messages:
            self._prune(_PRUNE_IDLE_ROWS)

    def _prune(self, most: int) -> None:
        if self.journal is not None:
            self._unpruned_rows = 0
            self._metrics.add("journal_pruned_total", self.journal.prune(most))

    def _publish(self, batch: Batch) -> None:
        assigned = self._metrics.next_offsets()
        self._metrics.count_batch(
            ingested=batch.ingested(),
            rejected=batch.rejected(),
            next_offsets={p: n for p, n in batch.next_offsets.items() if p in assigned or self.journal is None},
            latency_s=time.monotonic() - batch.fetched_at,
        )
        if batch.received:
            self._log.write_events(batch.received)
        for letter in batch.dead_letters:
            self._log.write(f"Rejected {letter.origin()}: {letter.reason}")
