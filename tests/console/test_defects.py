"""An exception that nobody foresaw reaches the operator in three parts, and its trace reaches a file."""

import sys
from pathlib import Path

import pytest

from runbook.console import DefectError, defect
from runbook.errors import ExitCode


def fails(password: str) -> None:
    """Fail while a secret is in a variable."""
    assert password
    raise KeyError("panels")


def caught() -> KeyError:
    with pytest.raises(KeyError) as raised:
        fails("hunter2")
    return raised.value


def test_a_defect(tmp_path: Path) -> None:
    """It is called a defect of this tool, with the place, and the trace in the run's folder, for its owner only."""
    found = defect(caught(), tmp_path / "run")

    trace = tmp_path / "run" / "trace.txt"
    assert isinstance(found, DefectError)
    assert found.exit_code is ExitCode.PROBLEM
    assert "defect of this tool" in found.seen
    assert "KeyError: 'panels'" in found.seen
    assert "test_defects.py" in found.where
    assert str(trace) in found.where
    assert "in fails" in trace.read_text()
    assert sys.platform == "win32" or trace.stat().st_mode & 0o077 == 0


def test_a_defect_keeps_no_variable(tmp_path: Path) -> None:
    """A trace names lines, never the values in them: one could be a password."""
    found = defect(caught(), tmp_path)

    assert "hunter2" not in str(found)
    assert "hunter2" not in (tmp_path / "trace.txt").read_text().replace('fails("hunter2")', "")


def test_a_trace_that_cannot_be_kept(tmp_path: Path) -> None:
    """Then it is shown, rather than lost."""
    (tmp_path / "run").write_text("a file where the folder should be")

    found = defect(caught(), tmp_path / "run")

    assert "could not be kept" in found.where
    assert "Traceback" in found.where
