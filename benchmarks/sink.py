"""`python -m benchmarks.sink`: how fast, how soon and how frugally the sink counts, beside its peers.

Counts are proven first: a figure whose count is wrong is shown as FAILED.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.measuring.cardinality import flood, many_tenants
from benchmarks.measuring.command import Parser
from benchmarks.measuring.contestants import BASELINE, CEILING, KCAT_VALUES, PEER_ROWS, PLAIN_LOOP, SINK_ROWS
from benchmarks.measuring.figures import Figure, of_flood, of_latency, of_many_tenants
from benchmarks.measuring.latency import MOCK_WAIT_MS, latency
from benchmarks.measuring.load import LoadError
from benchmarks.measuring.machine import this_machine
from benchmarks.measuring.model import Judgement
from benchmarks.measuring.sink_row import NO_JOURNAL, SQLITE
from benchmarks.measuring.tables import WIDTH, figures_table, throughput_table
from benchmarks.measuring.throughput import Standing, throughput
from runbook.errors import RunbookError

EXIT_CODES: Final = """\
exit codes: 0 measured, every count exact; 1 a count was wrong, or a target is missed by half or more;
3 a target could not be measured; 4 usage"""
_LATENCY_PER_S: Final = 200.0
_LATENCY_S: Final = 20.0
_SHORT_WAIT_MS: Final = 5
_LATENCY_TITLE: Final = f"Producer to counter, {_LATENCY_PER_S:g} events/s for {_LATENCY_S:g} s, by fetch.wait.max.ms"


@dataclass(slots=True, kw_only=True)
class Results:
    """What was measured so far, for the JSON document and the exit code."""

    standings: list[Standing] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def exit_code(self) -> int:
        """Return 1 for a wrong count or a wide miss, 3 for a target without a figure, else 0."""
        everything: list[Standing | Figure] = [*self.standings, *self.figures]
        judgements = {result.judgement for result in everything}
        if any(result.failure for result in everything) or Judgement.MISSED_WIDELY in judgements:
            return 1
        missing = any(row.judgement is Judgement.NOT_MEASURED and not row.not_available for row in self.standings)
        return 3 if missing or any(figure.judgement is Judgement.NOT_MEASURED for figure in self.figures) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen sections, print their tables, and say by the exit code whether they hold."""
    options, console, results = _options(arguments), Console(width=WIDTH, highlight=False), Results()
    machine = this_machine()
    console.print(str(machine))
    try:
        for name in (options.only,) if options.only else SECTIONS:
            SECTIONS[name](options, console, results)
    except (LoadError, RunbookError) as error:
        console.print(f"FAILED: {error}", style="bold red")
        return 1
    if options.json:
        document: dict[str, Any] = {"machine": asdict(machine), "events": options.events, **asdict(results)}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return results.exit_code()


def _throughput(options: argparse.Namespace, console: Console, results: Results) -> None:
    peers = () if options.without_peers else PEER_ROWS
    if options.without_peers:
        console.print(f"Left out as asked: {', '.join(row.name for row in PEER_ROWS)}", style="bold yellow")
    rows = (BASELINE, KCAT_VALUES, *SINK_ROWS, PLAIN_LOOP, *peers, CEILING)
    standings = throughput(rows, events=options.events, rounds=options.rounds, says=console.print)
    results.standings.extend(standings)
    console.print(throughput_table(standings))


def _latency(_: argparse.Namespace, console: Console, results: Results) -> None:
    figures = [
        figure
        for journal, wait_ms in ((NO_JOURNAL, _SHORT_WAIT_MS), (SQLITE, _SHORT_WAIT_MS), (NO_JOURNAL, MOCK_WAIT_MS))
        for figure in of_latency(latency(journal, per_s=_LATENCY_PER_S, seconds=_LATENCY_S, fetch_wait_ms=wait_ms))
    ]
    results.figures.extend(figures)
    console.print(figures_table(_LATENCY_TITLE, figures))


def _cardinality(options: argparse.Namespace, console: Console, results: Results) -> None:
    many = many_tenants(events=options.events, rounds=options.rounds, says=console.print)
    figures = [*of_many_tenants(many), *of_flood(flood(events=options.events))]
    results.figures.extend(figures)
    console.print(figures_table(f"Many tenants, {options.events:,} events", figures))


SECTIONS: Final = {"throughput": _throughput, "latency": _latency, "cardinality": _cardinality}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.sink", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--events", type=_positive, default=1_000_000, help="how many (default: 1000000)")
    parser.add_argument("--rounds", type=_positive, default=5, help="how often each contestant runs (default: 5)")
    parser.add_argument("--only", choices=tuple(SECTIONS), help="this section alone")
    parser.add_argument("--without-peers", action="store_true", help="without the programs from PyPI")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw figures there")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
