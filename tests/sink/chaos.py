"""Sinks that are killed again and again under load, while other members join and leave their group; then the audit."""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from confluent_kafka import Consumer, Producer

from sink.journal.model import JournalUnavailableError
from sink.journal.reader import JournalReader
from tests.sink.journals import JournalAddress
from tests.sink.ledger import Audit, Ledger, Load
from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import LEADS, SinkProcess, wait_until

_RECOVERY_S: Final = 60.0  # a dead member has its partitions until its session ends
_PROBE_EVERY_S: Final = 0.05
_SINK = ("-m", "sink")


class Broker(Protocol):
    """A broker that only this run uses."""

    bootstrap: str
    producer: Producer

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic."""

    def close(self) -> None:
        """End it."""


MOCK_GROUP: Final = {
    "KAFKA_SESSION_TIMEOUT_MS": "400",
    "KAFKA_HEARTBEAT_INTERVAL_MS": "50",
    # The mock broker may remove a member that waits for a dead one: up to 1000 ms, both have the same time. It leaves
    # the connection of the removed one blocked (rdkafka_mock_cgrp.c), so its JoinGroup is never answered: librdkafka
    # asks again after this time and 3 s.
    "KAFKA_MAX_POLL_INTERVAL_MS": "1000",
    "KAFKA_FETCH_WAIT_MAX_MS": "20",
}
REAL_GROUP: Final = {"KAFKA_SESSION_TIMEOUT_MS": "1000", "KAFKA_HEARTBEAT_INTERVAL_MS": "100"}
"""What the members use: the shortest session that each broker allows."""


def broken(variant: str, stop_file: Path | None = None) -> tuple[str, ...]:
    """Return the command of a sink with a deliberate mistake; see there for the file."""
    return (str(Path(__file__).with_name("broken_sink.py")), variant, *([str(stop_file)] if stop_file else []))


@dataclass(slots=True)
class Result:
    """The result of a run. Missing and duplicate must be 0."""

    kills: int = 0
    rebalances: int = 0
    events: int = 0
    missing: int = 0
    duplicate: int = 0
    went_back: int = 0  # pages with a smaller total than a page before
    recovered_s: list[float] = field(default_factory=list)
    """From a kill until all that had been written by then is counted, in every partition."""

    @property
    def exact(self) -> bool:
        """Whether all counts are right."""
        return not (self.missing or self.duplicate or self.went_back)

    def __add__(self, other: Self) -> "Result":
        """Return the sums of two runs."""
        mine, its = astuple(self), astuple(other)
        return Result(*(one + two for one, two in zip(mine, its, strict=True)))

    def __str__(self) -> str:
        times = sorted(self.recovered_s) or [0.0]
        return (
            f"kills {self.kills}  rebalances by others {self.rebalances}  events {self.events}  "
            f"missing {self.missing}  duplicate {self.duplicate}  totals that went back {self.went_back}  "
            f"recovery s ({len(times)} measured): p50 {times[len(times) // 2]:.2f} "
            f"p99 {times[len(times) * 99 // 100]:.2f} max {times[-1]:.2f}"
        )


@dataclass(kw_only=True)
class Chaos:
    """One run. `until_wrong` ends it at the first mistake that an audit finds."""

    journal: JournalAddress
    kills: int
    broker: Callable[[], Broker] = MockKafka
    group: Mapping[str, str] = field(default_factory=lambda: MOCK_GROUP)
    is_static: bool = False  # members have a name, by which they get their partitions back (KIP-345)
    sinks: int = 1
    command: Sequence[str] = _SINK
    stop_file: Path | None = None  # kill a broken sink between its two transactions, not at a random moment
    partitions: int = 8
    per_s: int = 1000
    rows: bool = True  # keep every message, and compare offset by offset
    seed: int = 1
    until_wrong: bool = False
    progress: Callable[[Result], None] = lambda _: None

    def run(self) -> Result:
        """Kill, audit, and at the end let everything be counted."""
        self._random, self._result = random.Random(self.seed), Result()  # noqa: S311  # chaos, no secret
        self._highest = 0.0
        with self._surroundings() as (kafka, folder):
            ledger = Ledger(LEADS)
            load = Load(kafka, ledger, partitions=self.partitions, per_s=self.per_s, seed=self.seed)
            processes = [self._process(kafka, folder, f"sink-{n}") for n in range(self.sinks)]
            try:
                self._kill_and_audit(kafka, processes, load, ledger)
                load.stop()
                if not (self.until_wrong and not self._result.exact):
                    self._finish(processes, load, ledger)
            finally:
                for process in processes:
                    process.kill()
                load.stop()
        self._result.events = sum(ledger.ends().values())
        return self._result

    @contextmanager
    def _surroundings(self) -> Iterator[tuple[Broker, Path]]:
        kafka = self.broker()
        kafka.create(LEADS, self.partitions)
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield kafka, Path(folder)
        finally:
            kafka.close()

    def _process(self, kafka: Broker, folder: Path, name: str) -> SinkProcess:
        process = SinkProcess(kafka.bootstrap, folder / name, command=self.command)
        rows = {"SINK_JOURNAL_EVENTS": "rows" if self.rows else "counts", "SINK_JOURNAL_MAX_ROWS": "100000000"}
        process.env |= {
            "TOPICS": LEADS,
            "SINK_DLQ_TOPIC": "",
            "SINK_LOG_EVENTS": "none",
            **self.group,
            **({"KAFKA_GROUP_INSTANCE_ID": name} if self.is_static else {}),
            **self.journal.env(**rows),
        }
        process.start()
        return process

    def _kill_and_audit(self, kafka: Broker, processes: list[SinkProcess], load: Load, ledger: Ledger) -> None:
        audit = Audit(ledger)
        wait_until(ledger.ends)
        self._wait_until_counted(ledger.ends(), processes)
        while self._result.kills < self.kills and not (self.until_wrong and not self._result.exact):
            self._wait_for_the_moment()
            victim = self._random.choice(processes)
            victim.kill()
            killed_at = time.monotonic()
            self._result.kills += 1
            self._check(audit, load)
            written = ledger.ends()
            victim.take_ports()
            victim.start()
            if self._random.random() < 0.33:  # killed again while it starts, joins or catches up
                threading.Event().wait(self._random.uniform(0, 1.5))
                continue
            if self._random.random() < 0.15:
                self._join_and_leave(kafka)
            self._wait_until_counted(written, processes)
            self._result.recovered_s.append(time.monotonic() - killed_at)
            self.progress(self._result)

    def _wait_for_the_moment(self) -> None:
        if self.stop_file is None:
            threading.Event().wait(self._random.uniform(0, 0.15))
        else:
            stop_file = self.stop_file
            stop_file.touch()
            wait_until(lambda: not stop_file.exists())  # it is deleted between the two transactions

    def _check(self, audit: Audit, load: Load, *, rows: bool = False) -> None:
        with self._reader() as reader:
            audit.counts(reader, load.settle)
            if rows:
                audit.rows(reader)
        self._result.missing = max(self._result.missing, audit.missing)
        self._result.duplicate = max(self._result.duplicate, audit.duplicate)

    def _join_and_leave(self, kafka: Broker) -> None:
        """Join the group as another member, and leave it again: two rebalances."""
        other = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": "crm-events-sink",
                "log_level": 0,
                "enable.auto.commit": False,
                **{name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in self.group.items()},
            }
        )
        other.subscribe([LEADS])
        until = time.monotonic() + self._random.uniform(0.1, 1.0)
        while time.monotonic() < until:
            other.poll(0.02)
        other.close()
        self._result.rebalances += 1

    def _wait_until_counted(self, ends: Mapping[int, int], processes: list[SinkProcess]) -> None:
        def counted() -> bool:
            self._check_page(processes)
            return self._is_past(ends)

        try:
            wait_until(counted, _RECOVERY_S, every_s=_PROBE_EVERY_S)
        except AssertionError as error:
            said = [line for process in processes for line in process.lines() if "Rejected" not in line][-20:]
            state = [(process.process and process.process.poll(), process.page("/readyz")) for process in processes]
            place = f"written {dict(ends)}, journal {self._positions()}"
            raise AssertionError(f"not all is counted after kill {self._result.kills}", place, state, *said) from error

    def _check_page(self, processes: list[SinkProcess]) -> None:
        """Note a page that shows less than one before; the totals of a single sink never decrease."""
        if self.sinks > 1 or not processes[0].status("/livez"):
            return
        total = processes[0].samples().counted()
        self._result.went_back += total < self._highest
        self._highest = max(self._highest, total)

    def _finish(self, processes: list[SinkProcess], load: Load, ledger: Ledger) -> None:
        self._wait_until_counted(ledger.ends(), processes)
        if self.sinks == 1:
            end, shown = sum(ledger.ends().values()), int(processes[0].samples().counted())
            self._result.missing = max(self._result.missing, end - shown)
            self._result.duplicate = max(self._result.duplicate, shown - end)
        assert [process.stop() for process in processes] == [0] * len(processes)
        self._check(Audit(ledger), load, rows=self.rows)

    def _is_past(self, ends: Mapping[int, int]) -> bool:
        positions = self._positions()
        return all(positions.get(partition, 0) >= end for partition, end in ends.items())

    def _positions(self) -> dict[int, int]:
        """Return the offsets that the journal has come to; none before a sink has made it."""
        try:
            with self._reader() as reader:
                return {partition.number: partition.position.next_offset for partition in reader.partitions()}
        except JournalUnavailableError:
            return {}

    @contextmanager
    def _reader(self) -> Iterator[JournalReader]:
        with self.journal.reader() as reader:
            yield reader
