"""`python -m benchmarks.ledger`: every created lead, one by one, over a real Kafka and two sinks, each killed once.

The local stack with Apache Kafka and PostgreSQL gets a second sink: one group, one journal. `traffic` creates leads;
after a third of them the first sink is killed with SIGKILL and started again, after two thirds the second. A lead is
proven if the API answered it, Kafka holds exactly one event of it, and the journal exactly one row of that event; and
the journal's counts must have grown by just the leads. Prints how long each hop took.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine
from runbook.commands.run_context import RunContext
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.steps import traffic
from runbook.commands.verify.events import events_since
from runbook.conservation.own_events import events_of
from runbook.conservation.traffic_run import traffic_run
from runbook.errors import RunbookError
from runbook.local_stack import stack
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.local_stack.service_spec import PARTITIONS, TOPICS
from runbook.model import Created
from runbook.observer import NullObserver
from runbook.settings import LOCAL, Target, load_target
from runbook.waiting import Pending, wait_until
from runbook.wording import span
from sink.journal import journal_reader
from sink.journal.reader import JournalReader
from sink.journal.settings import journal_settings

EXIT_CODES: Final = "exit codes: 0 every lead is proven; 1 one is not; 3 a program is not here; 4 usage"
_SINK: Final = "crm-events-sink"
_COUNTED_S: Final = 60.0
_READ_S: Final = 60.0

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The ledger, closed. `times` are seconds since a lead was sent, by hop."""

    wanted: int
    created: int = 0
    events: int = 0
    rows: int = 0
    twice: int = 0  # rows of the run's events that are not the only one
    counted: int = 0  # by the journal's counts, since before the first lead
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether all numbers are the same, and nothing is there twice."""
        return {self.created, self.events, self.rows, self.counted} == {self.wanted} and not self.twice


class SecondSink:
    """Another process of the same group, with the same journal and ports of its own."""

    def __init__(self, layout: Layout) -> None:
        ports = Ports.free()
        self._log = layout.root / "logs" / "second-sink.log"
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "KAFKA_BOOTSTRAP": layout.bootstrap.read_text("ascii").strip(),
            "KAFKA_GROUP_INSTANCE_ID": "sink-2",
            "SINK_JOURNAL_FILE": str(layout.journal_dsn),
            "SINK_JOURNAL_EVENTS": "rows",
            "PROM_PORT": str(ports.sink_metrics),
            "HTTP_PORT": str(ports.sink_http),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and do not wait."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sink"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Kills(NullObserver):
    """Kills a sink when so many leads were created, and starts it again."""

    def __init__(self, kills: dict[int, Callable[[], None]]) -> None:
        self._kills = kills

    def progresses(self, what: str, done: int, total: int) -> None:  # noqa: ARG002 - an observer's signature
        """Look whether it is time."""
        if kill := self._kills.pop(done, None):
            kill()


def run(leads: int, *, directory: Path) -> Outcome:
    """Bring the stack up in a directory, create, kill, account, and take it down. Raises RunbookError."""
    stack.up(directory, NullObserver(), real=frozenset({"kafka", "postgres"}))
    try:
        layout, target = Layout.of(directory), load_target(LOCAL, directory=directory)
        stack.start_service(directory, _SINK, extra_env={"KAFKA_GROUP_INSTANCE_ID": "sink-1"})
        second = SecondSink(layout)
        try:
            _shared(layout)
            return _ledger(leads, directory, layout, target, second)
        finally:
            second.kill()
    finally:
        stack.down(directory, NullObserver())


def _ledger(leads: int, directory: Path, layout: Layout, target: Target, second: SecondSink) -> Outcome:
    def kill_first() -> None:
        stack.stop_service(directory, _SINK, kill=True)
        stack.start_service(directory, _SINK, extra_env={"KAFKA_GROUP_INSTANCE_ID": "sink-1"})

    def kill_second() -> None:
        second.kill()
        second.start()

    before = _counted(layout)
    kills = {leads // 3: kill_first, 2 * leads // 3: kill_second}
    context = RunContext("traffic", screen=Kills(kills), target=target, directory=directory)
    sent = traffic(context, TrafficOptions(leads=leads, jobs=0))
    if sent.problem or kills:
        raise RunbookError(sent.problem.seen if sent.problem else "No sink was killed", where=LOCAL, fix="see its log")
    _wait_for(lambda: _counted(layout) - before, leads, what="every lead counted", where=str(layout.root / "logs"))
    return _accounted(leads, target, context.state_dir, layout, counted=_counted(layout) - before)


def _accounted(leads: int, target: Target, state_dir: Path, layout: Layout, *, counted: int) -> Outcome:
    """Follow each lead from the API's answer to its row."""
    run_sent = traffic_run(state_dir, target=LOCAL, run_id=None)
    events, _ = events_since(target, run_sent, _READ_S)
    own = {key: of_it[0] for key, of_it in events_of(run_sent.created, events).items()}
    with _journal(layout) as reader:
        received = [((row.topic, row.partition, row.offset), row.received_at) for row in reader.messages()]
    rows = Counter(place for place, _ in received)
    at = dict(received)
    places = {key: (event.topic, event.partition, event.offset) for key, event in own.items()}
    outcome = Outcome(wanted=leads, created=len(run_sent.created), counted=counted)
    outcome.events = sum(_is_of(event.topic, target) for event in events)
    outcome.rows = sum(place in rows for place in places.values())
    outcome.twice = sum(rows[place] - 1 for place in places.values() if place in rows)
    for lead in run_sent.created:
        event = own.get((lead.topic, lead.id))
        moments = {
            "API answered": lead.answered_at,
            "in Kafka": event.at if event else None,
            "counted and kept": at.get(places[lead.topic, lead.id]) if event else None,
        }
        _time(outcome, lead, moments)
    return outcome


def _is_of(topic: str, target: Target) -> bool:
    return topic == target.kafka.lead_topic


def _time(outcome: Outcome, lead: Created, moments: dict[str, datetime | None]) -> None:
    for hop, moment in moments.items():
        if moment is not None:
            outcome.times.setdefault(hop, []).append((moment - lead.sent_at).total_seconds())


@contextmanager
def _journal(layout: Layout) -> Iterator[JournalReader]:
    address = layout.journal_dsn.read_text("utf-8").strip()
    reader = journal_reader(journal_settings({"SINK_JOURNAL": address}, ""))
    assert reader is not None  # noqa: S101 - the address names one
    with closing(reader):
        yield reader


def _counted(layout: Layout) -> int:
    with _journal(layout) as reader:
        return sum(reader.totals().ingested.values())


def _shared(layout: Layout) -> None:
    """Wait until each sink has half of the partitions; its log says how many."""
    said = f"assigned {len(TOPICS) * PARTITIONS // 2} partitions"
    logs = [layout.root / "logs" / f"{_SINK}.log", layout.root / "logs" / "second-sink.log"]

    def have_some() -> int:
        return sum(said in log.read_text("utf-8", "replace") for log in logs if log.exists())

    _wait_for(have_some, 2, what="two sinks sharing the partitions", where=str(logs[1]))


def _wait_for(look: Callable[[], int], wanted: int, *, what: str, where: str) -> None:
    def probe() -> int | Pending:
        seen = look()
        return seen if seen >= wanted else Pending(f"{seen} of {wanted}")

    wait_until(probe, what=what, deadline_s=_COUNTED_S, where=where, fix="read that log", every_s=0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the ledger's sums and the times, and return the exit code."""
    parser = Parser(prog="python -m benchmarks.ledger", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--leads", type=int, default=10_000, help="how many (default: %(default)s)")
    options, console = parser.parse_args(arguments), Console(highlight=False)
    console.print(str(this_machine()))
    try:
        with tempfile.TemporaryDirectory(prefix="crm-ledger-") as folder:
            outcome = run(options.leads, directory=Path(folder))
    except RunbookError as error:
        console.print(f"not available: {error}", style="bold red", markup=False)
        return 3
    console.print(
        f"{outcome.rows} of {outcome.wanted} leads proven; created {outcome.created}, events {outcome.events}, "
        f"rows {outcome.rows}, twice {outcome.twice}, counted {outcome.counted}"
    )
    console.print(_table(outcome))
    return 0 if outcome.is_exact else 1


def _table(outcome: Outcome) -> Table:
    table = Table("since it was sent", *(("p50", "p99", "largest")))
    for hop, times in outcome.times.items():
        ordered = sorted(times)
        figures = (ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])
        table.add_row(hop, *map(span, figures))
    return table


if __name__ == "__main__":
    sys.exit(main())
