"""The command line as an operator has it: a process of its own in a working directory, answering with JSON."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
_TASK_S = 420


@dataclass(frozen=True, slots=True)
class Run:
    """One task: its exit code, and its JSON document."""

    code: int
    document: dict[str, Any]


def given(directory: Path, *arguments: str) -> Run:
    """Give a command in a working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "runbook", *arguments, "--json"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONFAULTHANDLER": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TASK_S,
        check=False,
    )
    assert done.stdout, f"exit code {done.returncode}: {done.stderr}"
    return Run(done.returncode, json.loads(done.stdout))
