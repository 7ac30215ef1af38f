"""The sink with a deliberate mistake: `python broken_sink.py VARIANT`. The proof of exactness must catch each."""

import sys
import threading
from dataclasses import replace
from typing import Final

import sink.__main__ as service
from sink.journal import new_journal
from sink.journal.model import Entry, Journal
from sink.journal.settings import JournalSettings

_GAP_S: Final = 0.01  # between the two transactions; some milliseconds pass there in any real program


ORDERS: Final = {
    "commit-then-write": ("positions", "counts"),  # what was not counted yet when it is killed is never counted
    "write-then-commit": ("counts", "positions"),  # what was counted when it is killed is counted again
}


def broken_journal(settings: JournalSettings) -> Journal | None:
    """Return a journal that writes counts and positions in transactions of their own, in the order asked for."""
    journal = new_journal(settings)
    whole = journal.write

    def write(entry: Entry) -> None:
        halves = {
            "positions": Entry(moves=entry.moves, ingested={}, rejected={}),
            "counts": replace(entry, moves={}),
        }
        first, second = (halves[half] for half in ORDERS[sys.argv[1]])
        whole(first)
        threading.Event().wait(_GAP_S)
        whole(second)

    journal.write = write
    return journal


if __name__ == "__main__":
    service.new_journal = broken_journal
    sys.exit(service.main())
