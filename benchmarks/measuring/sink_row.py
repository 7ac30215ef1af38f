"""Contestants that are the sink, told apart by their environment."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from benchmarks.measuring.load import Load
from benchmarks.measuring.model import Outcome, Sample, Target, pace
from benchmarks.measuring.pages import Counts, differences, parsed
from benchmarks.measuring.piped import Run
from benchmarks.measuring.postgres import fresh_database
from benchmarks.measuring.programs import jemalloc
from benchmarks.measuring.sink_process import SinkProcess
from benchmarks.measuring.usage import children_cpu_s

NO_JOURNAL: Final = {"SINK_JOURNAL": "none"}
SQLITE: Final = {"SINK_JOURNAL": "sqlite:{folder}/journal.sqlite", "SINK_JOURNAL_EVENTS": "counts"}
POSTGRES: Final = {"SINK_JOURNAL": "{database}", "SINK_JOURNAL_EVENTS": "counts"}
ROWS: Final = {"SINK_JOURNAL_EVENTS": "rows"}
QUIET: Final = {"SINK_LOG_EVENTS": "none"}

_HAS_COUNTED: Final = re.compile(r"^crm_events_ingested_total\{.*\} (?!0\.0$)", re.MULTILINE)


class Watcher:
    """What else happens beside a run of the sink, and when its count is right: here nothing, and as in the ledger."""

    def meanwhile(self, sink: SinkProcess) -> None:
        """Called again and again while it counts."""

    def afterwards(self, sink: SinkProcess) -> None:
        """Called when everything is counted and the last page is read."""

    def wrong(self, counts: Counts, load: Load) -> str:
        """Say what differs from the ledger, or nothing."""
        if counts.rejected:
            return f"{counts.rejected} events rejected"
        if counts.next_offsets != load.ends:
            return f"next offsets add up to {sum(counts.next_offsets.values())}, the log ends at {load.events}"
        return differences(counts.ingested, load.ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRow:
    """A row of the table; `{folder}` in a variable's value is a fresh folder of the run.

    A page of the sink is one moment, and names it: `crm_events_last_progress_timestamp_seconds` is when the counts on
    it were reached. So two pages are two exact samples, however late they are read, and nothing is asked in between.
    """

    name: str
    env: dict[str, str] = field(default_factory=dict)
    postgres: bool = False  # it needs a database: `{database}` in a variable's value
    jemalloc: bool = True  # the allocator of the sink's image; else the C library's
    target: Target | None = None

    def run(self, run: Run, watcher: Watcher | None = None) -> Outcome:
        """Let the sink count everything; raises NotAvailableError if it refuses this environment."""
        before, events, companion = children_cpu_s(), run.load.events, watcher or Watcher()
        with self._started(run) as sink:
            first = parsed(sink.first_page(lambda page: _HAS_COUNTED.search(page) is not None))
            sink.wait_for_commits(run.load, lambda: companion.meanwhile(sink))
            last = parsed(sink.page())
            companion.afterwards(sink)
        return Outcome(
            events_per_s=pace([_sample(first), _sample(last)], events),
            cpu_us_per_event=(children_cpu_s() - before) / events * 1e6,
            peak_rss_mib=sink.memory.mib,
            failure=companion.wrong(last, run.load),
        )

    @contextmanager
    def _started(self, run: Run) -> Iterator[SinkProcess]:
        """Run the sink with this environment. Raises NotAvailableError."""
        preload, where = jemalloc() if self.jemalloc else None, run.load.bootstrap
        with fresh_database() if self.postgres else nullcontext("") as database:
            env = {name: value.format(folder=run.folder, database=database) for name, value in self.env.items()}
            with SinkProcess(bootstrap=where, group=run.group, folder=run.folder, env=env, preload=preload) as sink:
                yield sink


def _sample(counts: Counts) -> Sample:
    return Sample(at_s=counts.progress_at_s, events=counts.total())
