"""`python -m benchmarks.day`: 24 simulated hours of the sink in some minutes, each with a burst and an idle time.

The sink stores its messages and deletes old ones all the time; it is scraped as Prometheus does. Prints how its memory
grows after the first six hours, in which its caches fill, and the longest time without progress while events waited.
Every event must be counted. `--leaking` runs a sink with a memory leak, which must be found.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

import psutil

from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine

CHECKOUT: Final = Path(__file__).parents[1]
EXIT_CODES: Final = "exit codes: 0 steady; 1 its memory grows, it stalled, or it counted wrongly; 4 usage"
HOURS: Final = 24
WARM_HOURS: Final = 6
LARGEST_GROWTH: Final = 0.25  # of the memory, over a day: a wide margin for a slope that should be 0
LARGEST_STALL_S: Final = 5.0
_TENANTS: Final = 300
_PARTITIONS: Final = 8
_KEPT_ROWS: Final = "20000"  # less than two bursts: old messages are deleted in every hour
_EVERY_S: Final = 0.05
_MIB: Final = 2**20


from tests.sink.mock_kafka import MockKafka  # noqa: E402  # found by the path above
from tests.sink.sink_process import LEADS, SCRAPE, SinkProcess, event, wait_until  # noqa: E402  # the same


@dataclass(slots=True)
class Day:
    """What was measured of a sink."""

    memory: list[tuple[float, float]] = field(default_factory=list)  # simulated hour, MiB
    longest_stall_s: float = 0.0  # without progress while events waited
    sent: int = 0
    counted: int = 0

    @property
    def growth_mib(self) -> float:
        """Return the slope of the memory after the first hours, in MiB per day."""
        hours, mib = zip(*((hour, seen) for hour, seen in self.memory if hour >= WARM_HOURS), strict=True)
        return linear_regression(hours, mib).slope * HOURS

    @property
    def leaks(self) -> bool:
        """Whether the memory grows."""
        usual = median(mib for hour, mib in self.memory if hour >= WARM_HOURS)
        return self.growth_mib > LARGEST_GROWTH * usual

    @property
    def is_steady(self) -> bool:
        """Whether nothing grows, nothing stalled, and everything was counted."""
        return not self.leaks and self.longest_stall_s <= LARGEST_STALL_S and self.counted == self.sent

    def __str__(self) -> str:
        mib = [seen for _, seen in self.memory]
        return (
            f"events {self.sent}  counted {self.counted}  memory MiB: median {median(mib):.1f} max {max(mib):.1f} "
            f"slope {self.growth_mib:+.1f} a day  longest stall {self.longest_stall_s:.2f} s"
        )


def live(sink: SinkProcess, kafka: MockKafka, *, hour_s: float, burst: int) -> Day:
    """Run a started sink for a day of such hours."""
    day = Day()
    values = [event(f"tenant-{n}") for n in range(_TENANTS)] * (burst // _TENANTS + 1)
    process, began = psutil.Process(sink.pid), time.monotonic()
    for hour in range(HOURS):
        kafka.send(LEADS, values[:burst])
        day.sent += burst
        progress_at = time.monotonic()

        def is_over() -> bool:
            nonlocal progress_at
            now = time.monotonic()
            seen, waited = int(sink.samples(SCRAPE).passed()), day.counted < day.sent
            if seen > day.counted:
                day.counted, progress_at = seen, now
            elif waited:
                day.longest_stall_s = max(day.longest_stall_s, now - progress_at)
            day.memory.append((hour, process.memory_info().rss / _MIB))  # noqa: B023  # called at once
            return now >= began + (hour + 1) * hour_s and day.counted >= day.sent  # noqa: B023  # called at once

        wait_until(is_over, 60 + hour_s, every_s=_EVERY_S)
    day.counted = int(sink.samples().counted())
    return day


def run(*, minutes: float, burst: int, leaking: bool) -> Day:
    """Start a broker and a sink, and end both."""
    with tempfile.TemporaryDirectory(prefix="sink-day-") as folder:
        kafka = MockKafka()
        kafka.create(LEADS, _PARTITIONS)
        command = (str(CHECKOUT / "tests/sink/leaking_sink.py"),) if leaking else ("-m", "sink")
        sink = SinkProcess(kafka.bootstrap, Path(folder, "stdout"), command=command)
        sink.env |= {
            "TOPICS": LEADS,
            "SINK_JOURNAL": f"sqlite:{folder}/journal.sqlite",
            "SINK_JOURNAL_EVENTS": "rows",
            "SINK_JOURNAL_MAX_ROWS": _KEPT_ROWS,
        }
        try:
            sink.start_ready()
            return live(sink, kafka, hour_s=minutes * 60 / HOURS, burst=burst)
        finally:
            sink.kill()
            kafka.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the figures, and return the exit code."""
    parser = Parser(prog="python -m benchmarks.day", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--minutes", type=float, default=5.0, help="for the day (default: %(default)s)")
    parser.add_argument("--burst", type=int, default=20_000, help="events at once, each hour (default: %(default)s)")
    parser.add_argument("--leaking", action="store_true", help="a sink with a memory leak: exit code 1")
    options = parser.parse_args(arguments)
    print(this_machine(), flush=True)  # noqa: T201  # a command
    day = run(minutes=options.minutes, burst=options.burst, leaking=options.leaking)
    print(day)  # noqa: T201  # a command
    return 0 if day.is_steady else 1


if __name__ == "__main__":
    sys.exit(main())
