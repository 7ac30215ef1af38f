"""The rows of the throughput table, in their order. A new row is a line here."""

import sys
from collections.abc import Sequence
from typing import Final, Protocol

from benchmarks.measuring.load import TOPICS
from benchmarks.measuring.model import Outcome, Target
from benchmarks.measuring.piped import PAGE_FILE, PipedRow, Run
from benchmarks.measuring.programs import PEERS, ceiling, kcat, peers_python
from benchmarks.measuring.sink_row import SinkRow

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
    """Balanced consumer, one byte for each message, exit at the end of all partitions: the least that kcat can do."""
    options = ("-q", "-e", "-f", ".", "-X", "auto.offset.reset=earliest", "-X", f"fetch.wait.max.ms={_FETCH_WAIT_MS}")
    return (*kcat(), "-b", run.load.bootstrap, *options, "-G", run.group, *TOPICS)


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
    SinkRow(name="sink", env={"SINK_LOG_EVENTS": "none"}, target=at_least(1.0)),
    SinkRow(name="sink, a line per event", env={"SINK_LOG_EVENTS": "all"}, target=at_least(0.9)),
    SinkRow(
        name="sink, SQLite counts",
        env={"SINK_LOG_EVENTS": "none", "SINK_JOURNAL": "sqlite:{folder}/j.db", "SINK_JOURNAL_EVENTS": "counts"},
    ),
    SinkRow(
        name="sink, SQLite rows",
        env={"SINK_LOG_EVENTS": "none", "SINK_JOURNAL": "sqlite:{folder}/j.db", "SINK_JOURNAL_EVENTS": "rows"},
        target=at_least(0.4),
    ),
    SinkRow(
        name="sink, PostgreSQL counts",
        env={"SINK_LOG_EVENTS": "none", "SINK_JOURNAL": "{BENCH_POSTGRES_DSN}", "SINK_JOURNAL_EVENTS": "counts"},
        needs="BENCH_POSTGRES_DSN",
    ),
)
BASELINE: Final = PipedRow(name="kcat", command=_kcat)
PLAIN_LOOP: Final = PipedRow(name="plain loop, json + labels()", command=_plain_loop, counts=True)
PEER_ROWS: Final = (
    PipedRow(name="aiokafka getmany, undecoded", command=_aiokafka),
    PipedRow(name="Quix Streams", command=_quix_streams),
)
CEILING: Final = PipedRow(name="C loop, undecoded: the limit", command=_ceiling)
