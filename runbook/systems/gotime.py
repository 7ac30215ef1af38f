"""Times as Prometheus, Alertmanager and Docker write them: Go's, with a year 1 for never and durations like 1m30s."""

import re
from datetime import UTC, datetime
from typing import Final

_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_NANOSECONDS: Final = re.compile(r"(\.\d{6})\d+")


def moment(written: datetime | str | None) -> datetime | None:
    """Return the time in UTC; None for Go's zero time, which means that it has not happened.

    Nanoseconds of a text are cut to microseconds. Raises ValueError when a text is not a time.
    """
    at = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", written)) if isinstance(written, str) and written else written
    if not isinstance(at, datetime) or at.year == 1:
        return None
    return at.astimezone(UTC)


def duration_s(written: str) -> float:
    """Return a duration such as `10s`, `1m30s` or `0s` in seconds; raises ValueError when it is none."""
    parts = _DURATION_PART.findall(written)
    if "".join(number + unit for number, unit in parts) != written or not parts:
        raise ValueError(f"{written!r} is not a duration")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
