"""The sink with a deliberate mistake: `python broken_sink.py VARIANT [FILE]`. The proof of exactness must catch each.

It writes counts and positions in two transactions. Between them it waits for some milliseconds. When FILE exists, it
deletes it instead, and waits there until it is killed: so a test can choose the moment.
"""

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import sink.__main__ as service
from sink.journal import new_journal
from sink.journal.model import Journal, JournalEntry
from sink.journal.settings import JournalSettings

_GAP_S: Final = 0.01  # between the two transactions


ORDERS: Final = {
    "commit-then-write": ("positions", "counts"),  # when it is killed between them, events are never counted
    "write-then-commit": ("counts", "positions"),  # when it is killed between them, events are counted again
}


class BrokenJournals:
    """Makes journals that write counts and positions in separate transactions, in the order of the variant."""

    def __init__(self, variant: str, stop_file: str = "") -> None:
        self._order = ORDERS[variant]
        self._stop_file = Path(stop_file) if stop_file else None

    def new(self, settings: JournalSettings) -> Journal | None:
        """Return what takes the place of `new_journal`."""
        journal = new_journal(settings)
        assert journal is not None
        write_entry = journal.write

        def write(entry: JournalEntry) -> None:
            halves = {
                "positions": JournalEntry(moves=entry.moves, ingested={}, rejected={}),
                "counts": replace(entry, moves={}),
            }
            first, second = (halves[half] for half in self._order)
            write_entry(first)
            self._wait()
            write_entry(second)

        journal.write = write  # type: ignore[method-assign]  # the broken variant
        return journal

    def _wait(self) -> None:
        if self._stop_file is not None and self._stop_file.exists():
            self._stop_file.unlink()
            threading.Event().wait()
        threading.Event().wait(_GAP_S)


if __name__ == "__main__":
    vars(service)["new_journal"] = BrokenJournals(*sys.argv[1:]).new
    del sys.argv[1:]
    sys.exit(service.main())
