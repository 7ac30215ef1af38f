"""The sink with a deliberate mistake: `python broken_sink.py VARIANT`. The proof of exactness must catch each."""

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import sink.__main__ as service
from sink.journal.model import Entry, Journal
from sink.journal.retention import Limits
from sink.journal.settings import JournalSettings
from sink.journal.sqlite import SqliteJournal

_GAP_S: Final = 0.005  # between the two transactions; some milliseconds pass there in any real program


class TwoTransactions(SqliteJournal):
    """Wrong on purpose: counts and positions in transactions of their own."""

    order = ("positions", "counts")

    def write(self, entry: Entry) -> None:
        halves = {
            "positions": replace(entry, ingested={}, rejected={}, stretches=()),
            "counts": replace(entry, moves={}),
        }
        for half in self.order:
            super().write(halves[half])
            threading.Event().wait(_GAP_S)


class CommitThenWrite(TwoTransactions):
    """Moves on first: what was not counted yet when it is killed is never counted."""


class WriteThenCommit(TwoTransactions):
    """Counts first: what was counted when it is killed is counted again."""

    order = ("counts", "positions")


VARIANTS: Final = {"commit-then-write": CommitThenWrite, "write-then-commit": WriteThenCommit}


def broken_journal(settings: JournalSettings) -> Journal:
    """Return the journal of the variant that the command line names."""
    limits = Limits(max_rows=settings.max_rows, max_days=settings.max_days)
    kind = VARIANTS[sys.argv[1]]
    return kind(Path(settings.path), group_id=settings.group_id, keeps_rows=settings.keep_rows, limits=limits)


if __name__ == "__main__":
    service.new_journal = broken_journal
    sys.exit(service.main())
