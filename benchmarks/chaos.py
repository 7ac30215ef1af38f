"""`python -m benchmarks.chaos`: kill the sink again and again under load, and audit its books after every kill.

The test run does the same 50 times (tests/sink/test_sink_chaos.py); this is the long run. It prints missing and
duplicate events as integers, and how long the counting stood still after a kill.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[1]
EXIT_CODES: Final = "exit codes: 0 every book is right; 1 something is missing, twice, or went back; 4 usage"

sys.path.insert(0, str(CHECKOUT / "tests" / "sink"))  # the broker, the processes and the ledger of the tests

from chaos import Chaos, Result, broken  # noqa: E402  # found by the path above
from journals import JournalAddress  # noqa: E402  # the same


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the figures, and return the exit code."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="sink-chaos-") as folder:
        result = Chaos(
            journal=JournalAddress(options.journal or f"sqlite:{folder}/journal.sqlite"),
            kills=options.kills,
            sinks=options.sinks,
            command=broken(options.broken) if options.broken else ("-m", "sink"),
            rows=not options.broken,
            partitions=16,
            per_s=options.rate,
            seed=options.seed,
            progress=_progress,
        ).run()
    print(result)  # noqa: T201  # a command
    return 0 if result.exact else 1


def _progress(result: Result) -> None:
    if result.kills % 50 == 0:
        print(result, file=sys.stderr, flush=True)  # noqa: T201  # a command


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--kills", type=int, default=1000, help="how often (default: %(default)s)")
    parser.add_argument("--journal", metavar="ADDRESS", help="an empty journal (default: a new SQLite file)")
    parser.add_argument("--sinks", type=int, default=1, help="processes that share a postgresql:// journal")
    parser.add_argument("--rate", type=int, default=1000, help="events/s (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the load (default: %(default)s)")
    parser.add_argument(
        "--broken", choices=("commit-then-write", "write-then-commit"), help="a sink with that mistake: exit code 1"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
