"""The sink's durable state: `model` says what a journal is, and why; one module for each database."""

from sink.journal.model import Journal
from sink.journal.reader import JournalReader
from sink.journal.retention import RetentionLimits
from sink.journal.settings import JournalSettings
from sink.journal.sqlite import SqliteJournal
from sink.journal.sqlite_reader import SqliteReader


def new_journal(settings: JournalSettings) -> Journal | None:
    """Return the journal that the settings name, not yet opened; None for SINK_JOURNAL=none."""
    limits = RetentionLimits(max_rows=settings.max_rows, max_days=settings.max_days)
    match settings.kind:
        case "sqlite":
            return SqliteJournal(
                settings.path, group_id=settings.group_id, stores_messages=settings.stores_messages, limits=limits
            )
        case "postgres":
            from sink.journal.postgres import PostgresJournal  # noqa: PLC0415  # loads libpq only where it is used

            return PostgresJournal(
                settings.dsn, group_id=settings.group_id, stores_messages=settings.stores_messages, limits=limits
            )
        case "none":
            return None


def journal_reader(settings: JournalSettings) -> JournalReader | None:
    """Open the journal to read; None for SINK_JOURNAL=none. Raises JournalUnavailableError."""
    match settings.kind:
        case "sqlite":
            return SqliteReader(settings.path)
        case "postgres":
            from sink.journal.postgres_reader import postgres_reader  # noqa: PLC0415  # loads libpq only where it is used

            return postgres_reader(settings.dsn)
        case "none":
            return None
