"""Ctrl-C at ten moments of `inv demo`, and at every step of a setup: exit 130, nothing half done, nothing left.

The program is held at each moment until the signal is there: none depends on who is faster.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from runbook.local_stack.stack import down, up
from runbook.observer import NullObserver
from tests.hold import HELD

pytestmark = pytest.mark.timeout(300)

ENDS_WITHIN_S = 90
HELD_PROGRAM = (sys.executable, "-u", str(Path(__file__).parents[1] / "hold.py"))
# A moment is the first output that holds this text; "" is the very start.
MOMENTS = (
    "",
    "local stack",
    "is ready after",
    "services ready",
    "datasource",
    "+++",
    "back up",
    "reload prometheus",
    "loaded by Prometheus",
    "sink log",
)


# An interrupt before the files are proven served takes them back; after that they stay.
STEPS = dict.fromkeys(
    ("datasource", "+++", "back up", "  write", "restart grafana", "served by Grafana"), (False, False)
) | {"token": (True, True)}


@pytest.mark.stack
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda text: text or "the very start")
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, moment: str) -> None:
    code, rest = interrupted(tmp_path, ["demo"], moment)

    assert code == 130, rest
    assert "Traceback" not in rest
    assert not (tmp_path / ".stack" / "target.toml").exists()
    assert running_in(tmp_path) == []


@pytest.mark.stack
def test_an_interrupted_setup_has_written_both_files_or_none(tmp_path: Path) -> None:
    up(tmp_path, NullObserver())
    try:
        files = tmp_path / ".stack" / "monitoring"
        paths = (files / "grafana/dashboards/crm_events_pipeline.json", files / "prometheus-crm-events-rules.yml")
        before = [path.read_bytes() for path in paths]
        for moment, expected in STEPS.items():
            code, rest = interrupted(tmp_path, ["run", "--target", "local", "--yes"], moment)
            changed = tuple(path.read_bytes() != old for path, old in zip(paths, before, strict=True))
            assert code == 130, rest
            assert changed == expected, moment
            for path, old in zip(paths, before, strict=True):
                path.write_bytes(old)
    finally:
        down(tmp_path, NullObserver())


def interrupted(folder: Path, arguments: list[str], moment: str) -> tuple[int, str]:
    """Press Ctrl-C while the program is held at a moment; return the exit code as a shell shows it, and the rest."""
    with subprocess.Popen(
        [*HELD_PROGRAM, moment, *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        assert program.stdout
        assert HELD in program.stdout, f"the moment {moment!r} never came"
        program.send_signal(signal.SIGINT)
        try:
            rest, _ = program.communicate(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            program.kill()
            raise
    code = program.returncode
    return (128 - code if code < 0 else code), rest


def running_in(folder: Path) -> list[str]:
    """Return the processes whose command or environment names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(" ".join(process.cmdline()))
    return found
