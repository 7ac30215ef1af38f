"""`python -m benchmarks.startup [--rounds N]`: what a command costs before it does anything.

Whole processes, one after the other in every round, beside `python -c pass`. Each command ends before it asks a system
anything, or with the first refused connection: what is measured is interpreter, imports and settings.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.measuring.command import Parser
from benchmarks.measuring.machine import this_machine

_INV: Final = (sys.executable, "-m", "runbook")
_NO_RUN: Final = "19700101-000000-0000"
_LIST_S: Final = 0.35
_COMMAND_S: Final = 0.6
_WIDE: Final = 2.0  # a target that is missed by more than this factor fails the benchmark
_COMMANDS: Final = {
    "python -c pass": ((sys.executable, "-c", "pass"), None),
    "inv --list": ((*_INV, "--list"), _LIST_S),
    "inv --help verify": ((*_INV, "--help", "verify"), _LIST_S),
    "inv history": ((*_INV, "history"), _COMMAND_S),
    "inv verify, no such run": ((*_INV, "verify", "--run", _NO_RUN), _COMMAND_S),
    "inv rollback, no such run": ((*_INV, "rollback", "--run", _NO_RUN), _COMMAND_S),
    "inv traffic, no Keycloak": ((*_INV, "traffic"), _COMMAND_S),
    "inv troubleshoot, no such hop": ((*_INV, "troubleshoot", "--hop", "nowhere"), _COMMAND_S),
}
_EXIT_CODES: Final = "exit codes: 0 every target met, or missed within a factor of 2; 1 a target missed by more"


def main() -> int:
    """Measure, print the table, and judge with a wide margin."""
    options = _parser().parse_args()
    times = _measured(options.rounds)
    table = Table(title="Start-up", title_justify="left", box=None)
    for heading in ("command", "median", "x python", "target"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    python_s = median(times["python -c pass"])
    is_missed = False
    for name, (_, target_s) in _COMMANDS.items():
        seconds = median(times[name])
        is_missed |= target_s is not None and seconds > _WIDE * target_s
        judged = "" if target_s is None else f"<= {target_s:g} s {'met' if seconds <= target_s else 'MISSED'}"
        table.add_row(name, f"{seconds:.2f} s", f"{seconds / python_s:.1f}", judged)
    console = Console(width=80)
    console.print(table)
    console.print(f"{this_machine()}; {options.rounds} rounds, interleaved")
    return int(is_missed)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="benchmarks.startup", description=__doc__, epilog=_EXIT_CODES)
    parser.add_argument("--rounds", type=int, default=7, help="how often each command is run (7)")
    return parser


def _measured(rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    closed = {f"RUNBOOK_{system}_URL": "http://127.0.0.1:1" for system in ("KEYCLOAK", "GATEWAY", "PROMETHEUS")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")}
    environment = {**kept, **closed, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, (command, _) in _COMMANDS.items():
                began = time.monotonic()
                subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
                times[name].append(time.monotonic() - began)
    return times


if __name__ == "__main__":
    sys.exit(main())
