"""`python -m benchmarks.edit [FILES]`: how exact and how fast the document editors are, on files as the field has them.

Every file is made from a seed, planned, written in place and judged without the editors' own scanners; a violation
names its seed. Half of the files are dashboards, half are rules files.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.measuring.command import Parser
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.file_change import FileChange
from runbook.files.file_io import read_document, write_documents
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules

EXIT_CODES: Final = """\
exit codes: 0 everything exact and fast enough; 1 a violation, a missed target, or no case at all;
3 promtool was not found (set PROMTOOL), so its part is not checked"""
_BATCH: Final = 200
_TARGET_MS: Final = 50.0
_LARGE_PANELS: Final = 2000
_LARGE_BYTES: Final = 5_000_000
_TARGET_S: Final = 2.0
_TARGET_MB: Final = 200.0
_SHOWN: Final = 10


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was seen of one kind of file."""

    kind: str
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: dict[str, list[str]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)

    def violated(self, claim: str, seed: int, what: str) -> None:
        """Note a violation with the seed that shows it."""
        self.violations.setdefault(claim, []).append(f"{self.kind} of seed {seed}: {what}")

    def count(self, claim: str) -> int:
        """How often a claim was violated."""
        return len(self.violations.get(claim, ()))


CLAIMS: Final = {
    "other outcome": ("dashboards", "rules"),
    "unintended bytes": ("dashboards", "rules"),
    "overlaps": ("dashboards",),
    "other meaning": ("rules",),
    "second-run changes": ("dashboards", "rules"),
    "diff is not the change": ("dashboards", "rules"),
    "crashes": ("dashboards", "rules"),
    "promtool rejections": ("rules",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Edit so many files, then a large one; print what was seen, and say by the exit code whether it holds."""
    options = _options(arguments)
    if options.large:
        sys.stdout.write(json.dumps(_measured_large(options.large)))
        return 0
    console, promtool = Console(highlight=False), os.environ.get("PROMTOOL") or shutil.which("promtool")
    with TemporaryDirectory() as folder:
        tallies = [
            _dashboards(range(options.files // 2), Path(folder)),
            _rules(range(options.files - options.files // 2), Path(folder), promtool),
        ]
        large = _large(Path(folder))
    console.print(_table(tallies, checked=promtool is not None))
    console.print(_said(large))
    violations = [what for tally in tallies for found in tally.violations.values() for what in found]
    for what in violations[:_SHOWN]:
        console.print(what, markup=False)
    if violations or options.files == 0 or _misses(tallies, large):
        return 1
    return 0 if promtool else 3


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks.edit", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("files", nargs="?", type=int, default=2000, help="so many files (default: 2000; proof: 10000)")
    parser.add_argument("--large", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _dashboards(seeds: range, folder: Path) -> Tally:
    """Edit one dashboard per seed."""
    generators, judged = import_module("tests.files.found_dashboards"), import_module("tests.files.judged")
    tally = Tally(kind="dashboards")
    for seed in seeds:
        found = generators.found_dashboard(seed)
        plan = _edited(tally, seed, found, judged.outcome_of, folder)
        if plan is None:
            continue
        _judge(tally, "unintended bytes", seed, judged.unintended(found, plan.after))
        _judge(tally, "overlaps", seed, judged.wrong_layout(found, plan.after))
        again = plan_panels(plan.after, generators.WANTED, path=plan.path, **found.options)
        _judge(tally, "second-run changes", seed, again.reason if again.after != plan.after else "")
    return tally


def _rules(seeds: range, folder: Path, promtool: str | None) -> Tally:
    """Edit one rules file per seed, and let promtool read all of them in batches."""
    generators, judged = import_module("tests.files.found_rules"), import_module("tests.files.judged")
    tally, files = Tally(kind="rules"), []
    for seed in seeds:
        found = generators.found_rules(seed)
        plan = _edited(tally, seed, found, judged.outcome_of_rules, folder)
        if plan is None:
            continue
        _judge(tally, "unintended bytes", seed, judged.unintended_in_rules(found, plan.after))
        _judge(tally, "other meaning", seed, judged.wrong_meaning(found, plan.after))
        again = plan_rules(plan.after, generators.WANTED, path=plan.path, **found.options)
        _judge(tally, "second-run changes", seed, again.reason if again.after != plan.after else "")
        files.append(folder / f"{seed}.yml")
        files[-1].write_bytes(plan.after)
    for batch in _batches(files) if promtool else ():
        for what in judged.rejected(promtool, batch):
            tally.violated("promtool rejections", int(Path(what.partition("\n")[0]).stem), what)
    return tally


def _edited(tally: Tally, seed: int, found: Any, outcome_of: Any, folder: Path) -> FileChange | None:  # noqa: ANN401 - of the tests
    """Plan a file, show the diff, write it; None if it was refused or something went wrong."""
    path = folder / "file"
    path.write_bytes(found.raw)
    started = time.perf_counter()
    plan: FileChange | None
    try:
        outcome, plan = outcome_of(found)
        diff = plan.diff() if plan else ""
        if plan and not plan.is_empty:
            write_documents([replace(plan, path=path)], journal=folder / "journal")
    except Exception as error:  # noqa: BLE001 - a crash is what is counted here
        tally.violated("crashes", seed, repr(error))
        return None
    tally.milliseconds.append((time.perf_counter() - started) * 1000)
    tally.outcomes[outcome] += 1
    _judge(tally, "other outcome", seed, "" if outcome == found.expected else f"{outcome}, not {found.expected}")
    if plan:
        written = read_document(path)
        patched = plan.before if plan.is_empty else import_module("tests.files.judged").patched(plan.before, diff)
        _judge(tally, "diff is not the change", seed, "" if written == plan.after == patched else "other bytes")
    elif read_document(path) != found.raw:
        tally.violated("unintended bytes", seed, "refused, and written")
    return plan


def _judge(tally: Tally, claim: str, seed: int, what: str) -> None:
    if what:
        tally.violated(claim, seed, f"{claim}: {what}")


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(files), _BATCH):
        yield files[start : start + _BATCH]


def _large(folder: Path) -> dict[str, float]:
    """What a process of its own needs to plan and show the change of a large dashboard.

    Its processor time is held against the target: the clock's also counts what else the machine does.
    """
    path = folder / "large.json"
    panels = [_large_panel(number) for number in range(_LARGE_PANELS)]
    panels[_LARGE_PANELS // 2]["id"] = 19
    path.write_text(json.dumps({"uid": "large", "panels": panels}, indent=2, ensure_ascii=False), "utf-8")
    command = [sys.executable, "-m", "benchmarks.edit", "--large", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def _large_panel(number: int) -> dict[str, Any]:
    column, row = number % 2, number // 2
    return {
        "id": 100 + number,
        "type": "timeseries",
        "title": f"Panel {number} 🔥",
        "gridPos": {"x": column * 12, "y": row * 8, "w": 12, "h": 8},
        "targets": [{"expr": f"rate(requests_{number}_total[5m])", "refId": "A"}],
        "fieldConfig": {"defaults": {"unit": "ops", "custom": {"drawStyle": "line", "fillOpacity": 10}}},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "description": "x" * (_LARGE_BYTES // _LARGE_PANELS - 690),
    }


def _measured_large(path: Path) -> dict[str, float]:
    raw = read_document(path)
    started, computed = time.perf_counter(), time.process_time()
    plan = plan_panels(raw, wanted_panels(Datasource(uid="u1")), path=Path(path.name))
    lines = plan.diff().count("\n")
    return {
        "bytes": len(raw),
        "seconds": time.process_time() - computed,
        "clock_seconds": time.perf_counter() - started,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "diff_lines": lines,
    }


def _misses(tallies: Sequence[Tally], large: dict[str, float]) -> bool:
    slow = any(median(tally.milliseconds) > _TARGET_MS for tally in tallies if tally.milliseconds)
    return slow or large["seconds"] > _TARGET_S or large["megabytes"] > _TARGET_MB


def _table(tallies: Sequence[Tally], *, checked: bool) -> Table:
    table = Table("", *(tally.kind for tally in tallies))
    table.add_row("cases", *(str(tally.outcomes.total()) for tally in tallies))
    for outcome in ("applied", "unchanged", "conflict", "refused"):
        table.add_row(f"  {outcome}", *(str(tally.outcomes[outcome]) for tally in tallies))
    for claim, kinds in CLAIMS.items():
        shown = "not checked" if claim == "promtool rejections" and not checked else None
        table.add_row(claim, *((shown or str(tally.count(claim))) if tally.kind in kinds else "" for tally in tallies))
    figures = [f"{median(tally.milliseconds or [0.0]):.1f} (target: {_TARGET_MS:.0f})" for tally in tallies]
    table.add_row("median ms per case", *figures)
    return table


def _said(large: dict[str, float]) -> str:
    return (
        f"{large['bytes'] / 1e6:.1f} MB, {_LARGE_PANELS} panels: {large['seconds']:.2f} s of work "
        f"(target: {_TARGET_S:.0f}), {large['clock_seconds']:.2f} s by the clock, "
        f"{large['megabytes']:.0f} MB at most (target: {_TARGET_MB:.0f})"
    )


if __name__ == "__main__":
    sys.exit(main())
