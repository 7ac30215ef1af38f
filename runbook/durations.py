"""Spans of time as an operator writes them: `30m`, `2h`, `1h30m`, `2d`."""

import re
from datetime import UTC, datetime, timedelta

from runbook.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d{1,9})([smhd])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
LONGEST_SINCE_S = 366 * 86400


def parsed_duration(text: str, *, option: str, most_s: int) -> int:
    """Return the seconds. Raises UsageError for another form, for zero, and for more than `most_s` seconds."""
    seconds = sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text)) if _WHOLE.fullmatch(text) else 0
    if not 0 < seconds <= most_s:
        seen = f"{option} {text!r} is not a span of time" if seconds == 0 else f"{option} {text} is too long"
        raise UsageError(seen, where=f"option {option}", fix=f"give 30m, 2h, 1h30m or 2d; at most {_shortest(most_s)}")
    return seconds


def parsed_since(text: str, *, now: datetime) -> datetime:
    """Return a moment, given as a span before now (`10m`) or in ISO 8601 (without an offset: UTC).

    Raises UsageError for another form, and for a moment that is still to come.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return now - timedelta(seconds=parsed_duration(text, option="--since", most_s=LONGEST_SINCE_S))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now:
        raise UsageError(f"--since {text} is still to come", where="option --since", fix="give 10m, or a past moment")
    return at


def _shortest(seconds: int) -> str:
    unit = next(unit for unit in reversed(_SECONDS) if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
