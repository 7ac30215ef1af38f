"""Installations of every kind, driven by the command line alone, as an operator drives his own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
_TASK_S = 420


@dataclass(frozen=True, slots=True)
class Run:
    """One task: its exit code, and its JSON document."""

    code: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One that has been brought up in `directory`; `folder` is where the stack keeps its files."""

    directory: Path
    target: str
    folder: str

    @property
    def files(self) -> tuple[Path, Path]:
        """The dashboard and the rules file."""
        monitoring = self.directory / self.folder / "monitoring"
        dashboard = monitoring / "grafana/dashboards/crm_events_pipeline.json"
        return dashboard, monitoring / "prometheus-crm-events-rules.yml"

    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.files]

    def does(self, task: str, *arguments: str) -> Run:
        """Give a command on this target."""
        return given(self.directory, task, *arguments, "--target", self.target)


def given(directory: Path, *arguments: str) -> Run:
    """Give any command in a working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "runbook", *arguments, "--json"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TASK_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return Run(done.returncode, json.loads(done.stdout))


KINDS = {
    "embedded": ((), "local", ".stack"),
    "real": (("--real",), "local", ".stack"),
    "docker": (("--docker",), "docker", ".stack-docker"),
}
PARAMETERS = (
    "embedded",
    pytest.param("real", marks=pytest.mark.real),
    pytest.param("docker", marks=pytest.mark.docker),
)
