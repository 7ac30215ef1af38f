"""The sink's memory: `model` says what a journal is, and why; one module for each kind."""

from sink.journal.model import Journal
from sink.journal.reading import Reader
from sink.journal.retention import Limits
from sink.journal.settings import JournalSettings
from sink.journal.sqlite import SqliteJournal
from sink.journal.sqlite_reader import SqliteReader


def new_journal(settings: JournalSettings) -> Journal | None:
    """Return the journal that the settings ask for, not yet opened; None if they ask for none."""
    limits = Limits(max_rows=settings.max_rows, max_days=settings.max_days)
    match settings.kind:
        case "sqlite":
            return SqliteJournal(
                settings.path, group_id=settings.group_id, keeps_rows=settings.keep_rows, limits=limits
            )
        case "postgres":
            from sink.journal.postgres import PostgresJournal  # noqa: PLC0415  # libpq is loaded by those who use it

            return PostgresJournal(
                settings.dsn, group_id=settings.group_id, keeps_rows=settings.keep_rows, limits=limits
            )
        case "none":
            return None


def journal_reader(settings: JournalSettings) -> Reader | None:
    """Open the journal to read; None if there is none. Raises JournalAwayError."""
    match settings.kind:
        case "sqlite":
            return SqliteReader(settings.path)
        case "postgres":
            from sink.journal.postgres_reader import postgres_reader  # noqa: PLC0415  # libpq is loaded by those who use it

            return postgres_reader(settings.dsn)
        case "none":
            return None
