"""The rows of the throughput table, in their order. A new row is a line here."""

import sys
from collections.abc import Sequence
from typing import Final, Protocol

from benchmarks.measuring.load import TOPICS
from benchmarks.measuring.model import Outcome, Target
from benchmarks.measuring.piped import PAGE_FILE, PipedRow, Run
from benchmarks.measuring.programs import PEERS, ceiling, kcat, peers_python
from benchmarks.measuring.sink_row import NO_JOURNAL, POSTGRES, QUIET, ROWS, SQLITE, SinkRow

_IDLE_S: Final = "2"  # the peers end when nothing has come for so long
# librdkafka's mock broker answers an empty fetch only after this time; the sink has the same value by default.
_FETCH_WAIT_MS: Final = "100"


class Row(Protocol):
    """A contestant."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    @property
    def target(self) -> Target | None:
        """What its ratio to kcat should be."""

    def run(self, run: Run) -> Outcome:
        """Read everything once. Raises NotAvailableError."""


def at_least(ratio: float) -> Target:
    """Return a target in multiples of kcat."""
    return Target(limit=ratio, at_least=True, unit=" x")


def _kcat(run: Run) -> Sequence[str]:
    """Write one byte for each message: the least that kcat can do. Counting and decoding are not in it."""
    return (*_kcat_values(run), "-f", ".")


def _kcat_values(run: Run) -> Sequence[str]:
    """Write each value and a newline, as kcat does unless told otherwise, until the end of all partitions."""
    options = ("-q", "-e", "-X", "auto.offset.reset=earliest", "-X", f"fetch.wait.max.ms={_FETCH_WAIT_MS}")
    return (*kcat(), "-b", run.load.bootstrap, "-G", run.group, *TOPICS, *options)


def _ceiling(run: Run) -> Sequence[str]:
    return (str(ceiling()), *_places(run))


def _plain_loop(run: Run) -> Sequence[str]:
    return (sys.executable, str(PEERS / "plain_loop.py"), str(run.folder / PAGE_FILE), *_places(run))


def _aiokafka(run: Run) -> Sequence[str]:
    return (str(peers_python()), str(PEERS / "aiokafka_loop.py"), *_places(run))


def _quix_streams(run: Run) -> Sequence[str]:
    return (str(peers_python()), str(PEERS / "quix_loop.py"), str(run.folder / "state"), *_places(run))


def _places(run: Run) -> Sequence[str]:
    return (run.load.bootstrap, run.group, _IDLE_S, *TOPICS)


SINK_ROWS: Final = (
    SinkRow(name="sink", env=QUIET | NO_JOURNAL, target=at_least(1.0)),
    SinkRow(name="sink, a line per event", env=NO_JOURNAL, target=at_least(0.9)),
    SinkRow(name="sink, SQLite counts", env=QUIET | SQLITE),
    SinkRow(name="sink, SQLite rows", env=QUIET | SQLITE | ROWS, target=at_least(0.4)),
    SinkRow(name="sink, PostgreSQL counts", env=QUIET | POSTGRES, postgres=True),
    SinkRow(name="sink, PostgreSQL rows", env=QUIET | POSTGRES | ROWS, postgres=True),
    SinkRow(name="sink, the C library's malloc", env=QUIET | NO_JOURNAL, jemalloc=False),
)
BASELINE: Final = PipedRow(name="kcat", command=_kcat)
KCAT_VALUES: Final = PipedRow(name="kcat, every value printed", command=_kcat_values, mark=b"\n")
PLAIN_LOOP: Final = PipedRow(name="plain loop, json + labels()", command=_plain_loop, counts=True)
PEER_ROWS: Final = (
    PipedRow(name="aiokafka getmany, undecoded", command=_aiokafka),
    PipedRow(name="Quix Streams", command=_quix_streams),
)
CEILING: Final = PipedRow(name="C loop, undecoded: the limit", command=_ceiling)
