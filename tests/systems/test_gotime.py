"""Times as Go writes them."""

from datetime import UTC, datetime

import pytest

from runbook.systems.gotime import duration_s, moment


@pytest.mark.parametrize("never", [None, "", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)])
def test_zero_time_is_never(never: datetime | str | None) -> None:
    assert moment(never) is None


@pytest.mark.parametrize(
    "written", ["2025-11-03T19:48:51.465169123Z", "2025-11-03T20:48:51.465169123+01:00", "2025-11-03T19:48:51.465169Z"]
)
def test_nanoseconds_and_zones_become_microseconds_in_utc(written: str) -> None:
    assert moment(written) == datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)


def test_text_that_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        moment("yesterday")


@pytest.mark.parametrize(
    ("written", "seconds"), [("10s", 10), ("1m30s", 90), ("0s", 0), ("500ms", 0.5), ("1h", 3600), ("1d", 86400)]
)
def test_duration_in_seconds(written: str, seconds: float) -> None:
    assert duration_s(written) == seconds


@pytest.mark.parametrize("written", ["", "10", "s", "1x", "1m nonsense"])
def test_text_that_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_s(written)
