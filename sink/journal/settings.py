"""Which journal, and what it stores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sink.environment import SettingsError
from sink.variables import (
    POSTGRES_DSN,
    SINK_JOURNAL,
    SINK_JOURNAL_EVENTS,
    SINK_JOURNAL_MAX_DAYS,
    SINK_JOURNAL_MAX_ROWS,
)

_POSTGRES: Final = ("postgresql://", "postgres://")
_KEYWORDS: Final = re.compile(r"[a-z_]+ *=")  # libpq's other form: host=... dbname=...
_WORD: Final = re.compile(r"[A-Za-z0-9+]{1,20}(?=:|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """The journal that SINK_JOURNAL names, or POSTGRES_DSN if that is not set."""

    kind: Literal["sqlite", "postgres", "none"]
    path: Path  # of the SQLite file, relative to the working directory
    dsn: str = field(repr=False)  # of PostgreSQL; may have a password
    group_id: str  # one journal belongs to one consumer group
    stores_messages: bool  # every message, not only counts
    max_rows: int
    max_days: int


def journal_settings(env: Mapping[str, str], group_id: str) -> JournalSettings:
    """Read and check the variables of the journal. Raises SettingsError, which never shows an address's password.

    POSTGRES_DSN comes from the compose files of the previous sink, which stored its events and served them. So with
    POSTGRES_DSN alone messages are stored; everywhere else counts are enough.
    """
    named, dsn = SINK_JOURNAL.secret(env), POSTGRES_DSN.secret(env)
    address = named or dsn or SINK_JOURNAL.default
    is_dsn = bool(dsn) and not named
    kind = _kind(address, POSTGRES_DSN.name if is_dsn else SINK_JOURNAL.name)
    stored = SINK_JOURNAL_EVENTS.choice(env, ("counts", "rows"), default="rows" if is_dsn else "")
    return JournalSettings(
        kind=kind,
        path=Path((address if kind == "sqlite" else SINK_JOURNAL.default).removeprefix("sqlite:")),
        dsn=address if kind == "postgres" else "",
        group_id=group_id,
        stores_messages=stored == "rows",
        max_rows=SINK_JOURNAL_MAX_ROWS.number(env, 10**12),
        max_days=SINK_JOURNAL_MAX_DAYS.number(env, 36_500),
    )


def _kind(address: str, variable: str) -> Literal["sqlite", "postgres", "none"]:
    if address == "none":
        return "none"
    if address.startswith(_POSTGRES) or (variable == POSTGRES_DSN.name and _KEYWORDS.match(address)):
        return "postgres"
    if variable == SINK_JOURNAL.name and address.startswith("sqlite:") and address != "sqlite:" and "\0" not in address:
        return "sqlite"
    allowed = "postgresql://..." if variable == POSTGRES_DSN.name else "sqlite:PATH, postgresql://... or none"
    word = _WORD.match(address)  # nothing else is shown: an address may have a password
    raise SettingsError(f"{variable} starts with {word[0] if word else 'something else'!r}; it must be {allowed}")
