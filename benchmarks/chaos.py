"""`python -m benchmarks.chaos`: kill the sink again and again under load, and audit its books after every kill.

The test run does the same 50 times (tests/sink/test_sink_chaos.py); this is the long run. It prints missing and
duplicate events as integers, and how long the counting stood still after a kill.

It goes in rounds, each with a journal and a group of its own, and their books are added up. librdkafka's mock broker
needs that: it keeps 5 MiB of a partition, and after some hundreds of dead members it assigns nobody anything.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.measuring.machine import this_machine
from runbook.errors import RunbookError

CHECKOUT: Final = Path(__file__).parents[1]
EXIT_CODES: Final = (
    "exit codes: 0 every book is right; 1 something is missing, twice, or went back; 3 a program is not here; 4 usage"
)

sys.path.insert(0, str(CHECKOUT / "tests" / "sink"))  # the brokers, the processes and the ledger of the tests

from chaos import MOCK_GROUP, REAL_GROUP, Chaos, Result, broken  # noqa: E402  # found by the path above
from journals import JournalAddress, sqlite_address  # noqa: E402  # the same
from mock_kafka import MockKafka  # noqa: E402  # the same
from postgres_server import postgres_programs, postgres_server  # noqa: E402  # the same
from real_kafka import RealKafka  # noqa: E402  # the same


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the figures, and return the exit code."""
    options = _options(arguments)
    print(this_machine())  # noqa: T201  # a command
    result = Result()
    try:
        with _journals(options.journal) as new_journal:
            while result.kills < options.kills and result.exact:
                result += _round(options, min(options.round, options.kills - result.kills), new_journal(), result)
                print(result, file=sys.stderr, flush=True)  # noqa: T201  # a command
    except RunbookError as error:
        print(f"not available: {error}", file=sys.stderr)  # noqa: T201  # a command
        return 3
    print(f"{options.journal}, {options.kafka} Kafka, {options.sinks} sinks: {result}")  # noqa: T201  # a command
    return 0 if result.exact else 1


def _round(options: argparse.Namespace, kills: int, journal: JournalAddress, before: Result) -> Result:
    is_real = options.kafka == "real"
    return Chaos(
        journal=journal,
        kills=kills,
        broker=RealKafka if is_real else MockKafka,
        group=REAL_GROUP if is_real else MOCK_GROUP,
        is_static=options.static,
        sinks=options.sinks,
        command=broken(options.broken) if options.broken else ("-m", "sink"),
        rows=not options.broken,
        until_wrong=bool(options.broken),
        partitions=16,
        per_s=options.rate,
        seed=options.seed + before.kills,
    ).run()


@contextmanager
def _journals(kind: str) -> Iterator[Callable[[], JournalAddress]]:
    """Yield what makes an empty journal. Raises RunbookError without PostgreSQL's programs."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="sink-chaos-") as folder:
            yield lambda: sqlite_address(Path(tempfile.mkdtemp(dir=folder)))
        return
    programs = postgres_programs()
    if programs is None:
        raise RunbookError(
            "PostgreSQL is not here", where="PATH, /usr/lib/postgresql", fix="apt-get install postgresql"
        )
    with postgres_server(programs) as server:
        yield lambda: JournalAddress(server.new_database())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=1000, help="how often (default: %(default)s)")
    parser.add_argument(
        "--round",
        type=int,
        default=50,
        help="kills per broker and journal (default: %(default)s; a real broker needs none)",
    )
    parser.add_argument("--journal", choices=("sqlite", "postgres"), default="sqlite", help="default: %(default)s")
    parser.add_argument("--kafka", choices=("mock", "real"), default="mock", help="default: %(default)s")
    parser.add_argument("--sinks", type=int, default=1, help="processes that share a journal in PostgreSQL")
    parser.add_argument("--static", action="store_true", help="with KAFKA_GROUP_INSTANCE_ID")
    parser.add_argument("--rate", type=int, default=1000, help="events/s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the load (default: %(default)s)")
    parser.add_argument(
        "--broken", choices=("commit-then-write", "write-then-commit"), help="a sink with that mistake: exit code 1"
    )
    options = parser.parse_args(arguments)
    if options.sinks > 1 and options.journal == "sqlite":
        parser.error("several sinks share a journal in PostgreSQL: --journal postgres")
    return options


if __name__ == "__main__":
    sys.exit(main())
