"""Journals for the tests: each kind that this machine can run."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sink.decoding import RejectReason
from sink.journal import journal_reader, new_journal
from sink.journal.model import Journal, MessageRun, Totals
from sink.journal.reader import JournalReader, StoredPartition
from sink.journal.settings import journal_settings


@dataclass(frozen=True, slots=True)
class JournalAddress:
    """A place where a journal is, or will be."""

    address: str

    def env(self, **more: str) -> dict[str, str]:
        """Return the variables that ask for it."""
        return {"SINK_JOURNAL": self.address, **more}

    def new(self, group_id: str = "crm-events-sink", **more: str) -> Journal:
        """Return a journal that is not open."""
        journal = new_journal(journal_settings(self.env(**more), group_id))
        assert journal is not None
        return journal

    def opened(self, **more: str) -> Journal:
        """Return an open journal."""
        journal = self.new(**more)
        journal.open()
        return journal

    @contextmanager
    def reader(self) -> Iterator[JournalReader]:
        """Have a reader as long as the block lasts."""
        reader = journal_reader(journal_settings(self.env(), ""))
        assert reader is not None
        with closing(reader):
            yield reader

    def totals(self) -> Totals:
        """Return what is counted."""
        with self.reader() as reader:
            return reader.totals()

    def partitions(self) -> list[StoredPartition]:
        """Return the positions."""
        with self.reader() as reader:
            return reader.partitions()


def sqlite_address(folder: Path) -> JournalAddress:
    """Return the address of a file."""
    return JournalAddress(f"sqlite:{folder / 'journal.sqlite'}")


def message_run(
    topic: str, *messages: tuple[int, str | None, str | None, RejectReason | None, bytes | None, bytes | None]
) -> MessageRun:
    """Return messages of partition 0 to keep: offset, tenant, type, reason, key and value of each."""
    offsets, tenants, types, reasons, keys, values = zip(*messages, strict=True)
    return MessageRun(
        topic=topic,
        partition=0,
        offsets=offsets,
        tenants=tenants,
        types=types,
        reasons=reasons,
        keys=keys,
        values=values,
    )
