"""`python -m benchmarks.chaos`: kill the sink again and again under load, and audit its counts after every kill.

The test run does the same 50 times (tests/sink/test_sink_chaos.py); this is the long run. It prints missing and
duplicate events as integers, and how long it took from a kill until all that had been written by then was counted.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine
from runbook.errors import RunbookError

CHECKOUT: Final = Path(__file__).parents[1]
EXIT_CODES: Final = (
    "exit codes: 0 all counts are right; 1 something is missing, twice, or decreased; 3 a program is not here; 4 usage"
)


from tests.sink.chaos import MOCK_GROUP, REAL_GROUP, Chaos, Result, broken  # noqa: E402  # found by the path above
from tests.sink.journals import JournalAddress, sqlite_address  # noqa: E402  # the same
from tests.sink.mock_kafka import MockKafka  # noqa: E402  # the same
from tests.sink.postgres_server import postgres_programs, postgres_server  # noqa: E402  # the same
from tests.sink.real_kafka import RealKafka  # noqa: E402  # the same

_TELL_EVERY: Final = 50  # kills


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the figures, and return the exit code."""
    options = _options(arguments)
    print(this_machine(), flush=True)  # noqa: T201  # a command
    try:
        with _journal(options.journal) as journal:
            result = _chaos(options, journal).run()
    except RunbookError as error:
        print(f"not available: {error}", file=sys.stderr)  # noqa: T201  # a command
        return 3
    members = "static members" if options.static else "dynamic members"
    print(f"{options.journal}, {options.kafka} Kafka, {options.sinks} sinks, {members}: {result}")  # noqa: T201  # a command
    return 0 if result.exact else 1


def _chaos(options: argparse.Namespace, journal: JournalAddress) -> Chaos:
    is_real = options.kafka == "real"
    group = REAL_GROUP if is_real else MOCK_GROUP
    if options.session_ms:
        group |= {"KAFKA_SESSION_TIMEOUT_MS": str(options.session_ms), "KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
    return Chaos(
        journal=journal,
        kills=options.kills,
        broker=RealKafka if is_real else MockKafka,
        group=group,
        is_static=options.static,
        sinks=options.sinks,
        command=broken(options.broken) if options.broken else ("-m", "sink"),
        rows=not options.broken,
        until_wrong=bool(options.broken),
        partitions=16,
        per_s=options.rate,
        seed=options.seed,
        progress=_progress,
    )


def _progress(result: Result) -> None:
    if result.kills % _TELL_EVERY == 0:
        print(result, file=sys.stderr, flush=True)  # noqa: T201  # a command


@contextmanager
def _journal(kind: str) -> Iterator[JournalAddress]:
    """Yield an empty journal. Raises RunbookError without PostgreSQL's programs."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="sink-chaos-") as folder:
            yield sqlite_address(Path(folder))
        return
    programs = postgres_programs()
    if programs is None:
        raise RunbookError(
            "PostgreSQL is not here", where="PATH, /usr/lib/postgresql", fix="apt-get install postgresql"
        )
    with postgres_server(programs) as server:
        yield JournalAddress(server.new_database())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.chaos", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--kills", type=int, default=1000, help="how often (default: %(default)s)")
    parser.add_argument("--journal", choices=("sqlite", "postgres"), default="sqlite", help="default: %(default)s")
    parser.add_argument("--kafka", choices=("mock", "real"), default="mock", help="default: %(default)s")
    parser.add_argument("--sinks", type=int, default=1, help="processes that share a journal in PostgreSQL")
    parser.add_argument("--static", action="store_true", help="with KAFKA_GROUP_INSTANCE_ID; real Kafka only")
    parser.add_argument(
        "--session-ms",
        type=int,
        help="KAFKA_SESSION_TIMEOUT_MS, with two heartbeats a second (default: the shortest that the broker bears; "
        "the sink's own is 10000)",
    )
    parser.add_argument("--rate", type=int, default=1000, help="events/s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the load (default: %(default)s)")
    parser.add_argument(
        "--broken", choices=("commit-then-write", "write-then-commit"), help="a sink with that mistake: exit code 1"
    )
    options = parser.parse_args(arguments)
    if options.sinks > 1 and options.journal == "sqlite":
        parser.error("several sinks share a journal in PostgreSQL: --journal postgres")
    if options.static and options.kafka == "mock":
        parser.error("the mock broker knows no static members: --kafka real")
    return options


if __name__ == "__main__":
    sys.exit(main())
