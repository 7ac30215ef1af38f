"""Counting a batch: first in the journal, in one transaction, then on the page, then in the log."""

import time
from collections.abc import Mapping
from typing import Final

from sink.batches import Batch
from sink.journal.model import Journal, JournalAwayError, OvertakenError, Partition
from sink.log_lines import LogLines
from sink.metrics import Metrics

_PRUNE_EVERY_ROWS: Final = 1000
_PRUNE_IDLE_ROWS: Final = 1000


class Counting:
    """What was counted is in the journal; what is not in the journal was not counted."""

    def __init__(self, journal: Journal | None, metrics: Metrics, log: LogLines) -> None:
        self.journal = journal
        self._metrics = metrics
        self._log = log
        self._doubtful: Batch | None = None  # its transaction has not answered
        self._unpruned = 0  # rows written since rows were deleted

    @property
    def keeps_rows(self) -> bool:
        """Whether every message is kept."""
        return self.journal is not None and self.journal.keeps_rows

    def count(self, batch: Batch, epochs: Mapping[Partition, int]) -> None:
        """Count a batch. Raises OvertakenError: it is not counted; JournalAwayError: `settle` finds out."""
        if self.journal is not None:
            entry = batch.entry(self._metrics.next_offsets(), epochs)
            if any(high < low for low, high in entry.moves.values()):
                raise OvertakenError("Kafka went back to offsets that were counted before")
            try:
                if entry.moves:
                    self.journal.write(entry)
            except JournalAwayError:
                self._doubtful = batch
                raise
            self._unpruned += entry.messages()
        self._show(batch)
        if self._unpruned >= _PRUNE_EVERY_ROWS:
            self._prune(2 * self._unpruned)

    def settle(self) -> None:
        """Reach the journal again, and show the batch whose transaction did not answer if it was written after all.

        Raises JournalAwayError, JournalRefusedError.
        """
        if self.journal is None:
            return
        written = self.journal.settled()
        batch, self._doubtful = self._doubtful, None
        if batch is not None and written:
            self._show(batch)

    def prune(self) -> None:
        """Delete a few old rows, in an idle moment. Raises JournalAwayError."""
        if self.keeps_rows:
            self._prune(_PRUNE_IDLE_ROWS)

    def _prune(self, most: int) -> None:
        if self.journal is not None:
            self._unpruned = 0
            self._metrics.add("journal_pruned_total", self.journal.prune(most))

    def _show(self, batch: Batch) -> None:
        ours = self._metrics.next_offsets()
        self._metrics.record(
            ingested=batch.ingested(),
            rejected=batch.rejected(),
            next_offsets={p: offset for p, offset in batch.next_offsets.items() if p in ours or self.journal is None},
            took_s=time.monotonic() - batch.fetched_at,
        )
        if batch.received:
            self._log.events(batch.received)
        for letter in batch.letters:
            self._log.say(f"Rejected {letter.place()}: {letter.reason}")
