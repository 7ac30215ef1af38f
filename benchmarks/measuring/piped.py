"""Contestants that write a mark to standard output for each event: kcat, and the programs of benchmarks/peers.

The reader of the pipe counts the marks and notes when they came. A writer fills a buffer of some thousand bytes first,
which is the resolution of the samples. The last, short buffer comes with the writer's end: it counts, but is no sample
of the pace.
"""

import fcntl
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

from benchmarks.measuring.broker import CHECKOUT, last_line
from benchmarks.measuring.load import Load
from benchmarks.measuring.model import Outcome, Sample, Target, pace
from benchmarks.measuring.pages import differences, parsed
from benchmarks.measuring.usage import PeakMemory, children_cpu_s

PAGE_FILE: Final = "page.txt"
_SILENT_S: Final = 60.0  # a contestant that writes nothing for so long is stuck
_CHUNK: Final = 1024 * 1024
_LOOK_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a contestant is told: where the events are, a folder to write into, a consumer group that nobody used."""

    load: Load
    folder: Path
    group: str = field(default_factory=lambda: f"bench-{uuid4()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipedRow:
    """A row of the table whose program ends by itself when nothing more comes."""

    name: str
    command: Callable[[Run], Sequence[str]]  # raises NotAvailableError
    mark: bytes = b"."  # the byte that stands for an event
    counts: bool = False  # it counts by tenant and topic, and leaves its page in PAGE_FILE
    target: Target | None = None

    def run(self, run: Run) -> Outcome:
        """Run the program to its end; raises NotAvailableError."""
        command, before = self.command(run), children_cpu_s()
        with (run.folder / "stderr.txt").open("wb") as errors:
            process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=errors)
        samples, memory, look_at_s = [], PeakMemory(process.pid), 0.0
        try:
            for sample in _samples(process.stdout, self.mark):
                samples.append(sample)
                if sample.at_s >= look_at_s:
                    memory.look()
                    look_at_s = sample.at_s + _LOOK_EVERY_S
            code = process.wait(_SILENT_S)
        finally:
            process.kill()
            process.wait()
        failure = f"exit code {code}: {last_line(run.folder / 'stderr.txt')}" if code else self._wrong(run, samples)
        return Outcome(
            events_per_s=pace(samples[:-1], run.load.events),
            cpu_us_per_event=(children_cpu_s() - before) / run.load.events * 1e6,
            peak_rss_mib=memory.mib,
            failure=failure,
        )

    def _wrong(self, run: Run, samples: list[Sample]) -> str:
        done = samples[-1].events if samples else 0
        if done != run.load.events:
            return f"{done - run.load.events:+d} events"
        if not self.counts:
            return ""
        return differences(parsed((run.folder / PAGE_FILE).read_text()).ingested, run.load.ledger)


def _samples(pipe: IO[bytes] | None, mark: bytes) -> Iterator[Sample]:
    """Yield the count after each read, until the pipe is closed. Raises TimeoutError."""
    assert pipe is not None  # noqa: S101  # stdout=PIPE
    total = 0
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)  # a writer of whole values would wait for this reader else
    with pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(_SILENT_S):
                raise TimeoutError(f"nothing came for {_SILENT_S:g} s after {total} events")
            chunk = os.read(pipe.fileno(), _CHUNK)
            if not chunk:
                return
            total += chunk.count(mark)
            yield Sample(at_s=time.monotonic(), events=total)
