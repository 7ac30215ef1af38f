"""Spans of time as an operator writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.durations import parsed_duration, parsed_since
from runbook.errors import UsageError

WEEK_S = 7 * 86400
NOW = datetime(2025, 11, 3, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", 1), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("7d", WEEK_S), ("168h", WEEK_S)],
)
def test_a_duration(text: str, expected: int) -> None:
    assert parsed_duration(text, option="--duration", most_s=WEEK_S) == expected


@pytest.mark.parametrize(
    "text",
    ["", "0m", "2", "h", "-1h", "+1h", "1.5h", "2 h", "2h ", "1w", "2H", "7d1s", "999999999d", "9" * 5000 + "s", "٣h"],
)
def test_no_duration(text: str) -> None:
    """Zero, more than the most, and every other form are refused with an example."""
    with pytest.raises(UsageError, match="give 30m, 2h, 1h30m or 2d; at most 7d"):
        parsed_duration(text, option="--duration", most_s=WEEK_S)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("2025-11-03T19:00:00", datetime(2025, 11, 3, 19, tzinfo=UTC)),
        ("2025-11-03T20:00:00+02:00", datetime(2025, 11, 3, 18, tzinfo=UTC)),
        ("2025-11-03T19:00:00Z", datetime(2025, 11, 3, 19, tzinfo=UTC)),
    ],
)
def test_since(text: str, expected: datetime) -> None:
    """A span before now, or a moment; without an offset it is UTC, as in the sink's own lines."""
    assert parsed_since(text, now=NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "2025-11-03T21:00:00", "0s", "9999d"])
def test_no_since(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parsed_since(text, now=NOW)
