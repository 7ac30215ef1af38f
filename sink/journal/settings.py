"""Which journal, and what it keeps: default, variable and meaning side by side."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sink.environment import SettingsError, choice, number, secret

DEFAULT_PATH: Final = "crm-events-sink.sqlite"

_POSTGRES: Final = ("postgresql://", "postgres://")
_KEYWORDS: Final = re.compile(r"[a-z_]+ *=")  # libpq's other form: host=... dbname=...
_WORD: Final = re.compile(r"[A-Za-z0-9+]{1,20}(?=:|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """The journal that SINK_JOURNAL, or POSTGRES_DSN without it, asks for."""

    kind: Literal["sqlite", "postgres", "none"]
    path: Path  # of the SQLite file, relative to the working directory
    dsn: str = field(repr=False)  # of PostgreSQL; may hold a password
    group_id: str  # GROUP_ID: one journal is the memory of one consumer group
    keep_rows: bool  # SINK_JOURNAL_EVENTS: rows = every message is kept, counts = none is
    max_rows: int  # SINK_JOURNAL_MAX_ROWS: the newest rows that stay
    max_days: int  # SINK_JOURNAL_MAX_DAYS: how long a row stays


def journal_settings(env: Mapping[str, str], group_id: str) -> JournalSettings:
    """Read and check the variables of the journal. Raises SettingsError, which never shows an address's password.

    POSTGRES_DSN comes from the compose files of the sink before this one. That sink kept its events and served them,
    so with it alone rows are kept; everywhere else counts are enough.
    """
    chosen, dsn = secret(env, "SINK_JOURNAL"), secret(env, "POSTGRES_DSN")
    address = chosen or dsn or f"sqlite:{DEFAULT_PATH}"
    as_before = bool(dsn) and not chosen
    default = ("rows", "counts") if as_before else ("counts", "rows")
    kind = _kind(address, "POSTGRES_DSN" if as_before else "SINK_JOURNAL")
    return JournalSettings(
        kind=kind,
        path=Path(address.removeprefix("sqlite:") if kind == "sqlite" else DEFAULT_PATH),
        dsn=address if kind == "postgres" else "",
        group_id=group_id,
        keep_rows=choice(env, "SINK_JOURNAL_EVENTS", default) == "rows",
        max_rows=number(env, "SINK_JOURNAL_MAX_ROWS", 1_000_000, 10**12),
        max_days=number(env, "SINK_JOURNAL_MAX_DAYS", 30, 36_500),
    )


def _kind(address: str, variable: str) -> Literal["sqlite", "postgres", "none"]:
    if address == "none":
        return "none"
    if address.startswith(_POSTGRES) or (variable == "POSTGRES_DSN" and _KEYWORDS.match(address)):
        return "postgres"
    if variable == "SINK_JOURNAL" and address.startswith("sqlite:") and address != "sqlite:" and "\0" not in address:
        return "sqlite"
    allowed = "postgresql://..." if variable == "POSTGRES_DSN" else "sqlite:PATH, postgresql://... or none"
    kind = _WORD.match(address)  # nothing else is shown: an address may hold a password
    raise SettingsError(f"{variable} asks for {kind[0] if kind else 'something else'!r}; allowed is {allowed}")
