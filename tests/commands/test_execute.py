"""Around every task: one document, one exit code, a record of it, and nothing else gets out. Real processes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from runbook.model import CommandResult
from runbook.runs.run_history import all_runs
from tests.schema import validate

COMMANDS = Path(__file__).parents[2] / "runbook" / "commands"

PROGRAM = """
import resource, signal, sys, time
from runbook.commands.execute import execute
from runbook.commands.task_run import TaskRun
from runbook.errors import ExitCode, LockedError, RunbookError
from runbook.interrupts import become_interruptible
from runbook.model import CommandResult

become_interruptible()

def ok(context):
    return TaskRun("setup", context).result(CommandResult, "ok", ExitCode.OK)

def fine(context):
    context.run_log.append("note", {})
    return ok(context)

def refused(context):
    context.run_log
    raise RunbookError("It was refused", where="there", fix="do this")

def locked(context):
    raise LockedError("Another command", where="lock", fix="wait")

def wrong_settings(context):
    context.target
    context.run_log

def broken(context):
    context.run_log
    return 1 / 0

def forbidden(context):
    raise PermissionError(13, "Permission denied", "/somebody/else")

def waits(context):
    context.run_log
    context.screen.says("waiting")
    signal.pause()

def full_disk(context):
    size = (context.run_log.folder / "record.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return ok(context)

work, target, *options = sys.argv[1:]
kept = work != "looks_only"
sys.exit(execute("setup", globals().get(work, ok), target=target, json="--json" in options, is_recorded=kept,
                 has_report="--report" in options))
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return [sys.executable, str(path)]


def environment(*arguments: str) -> dict[str, str]:
    unwanted = ("RUNBOOK_", "COVERAGE_") if "full_disk" in arguments else "RUNBOOK_"  # coverage writes files too
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    # Python 3.11 takes a short write for a whole one: a full disk would leave a cut-off .pyc for everybody.
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}


def run(program: list[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env=environment(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def only_document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    validate(document)
    assert document["exit_code"] == done.returncode
    return document


@pytest.mark.parametrize(
    ("work", "code", "outcome"),
    [
        ("fine", 0, "ok"),
        ("looks_only", 0, "ok"),
        ("refused", 1, "failed"),
        ("locked", 5, "failed"),
        ("broken", 1, "failed"),
        ("forbidden", 1, "failed"),
        ("full_disk", 1, "failed"),
    ],
)
def test_every_end_is_one_document_and_its_exit_code(
    program: list[str], tmp_path: Path, work: str, code: int, outcome: str
) -> None:
    done = run(program, tmp_path, work, "live", "--json")

    document = only_document(done)
    assert (done.returncode, document["outcome"]) == (code, outcome)
    assert (code != 0) == ("error" in document)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("work", ["refused", "locked", "broken", "full_disk"])
def test_on_a_screen_it_is_three_parts(program: list[str], tmp_path: Path, work: str) -> None:
    done = run(program, tmp_path, work, "live")

    assert done.returncode != 0
    assert "Fix: " in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_result_is_the_end_of_the_record(program: list[str], tmp_path: Path) -> None:
    document = only_document(run(program, tmp_path, "fine", "live", "--json"))

    (record,) = all_runs(tmp_path / ".runbook")
    assert record.run_id == document["run_id"]
    assert [event.kind for event in record.events()] == ["begin", "note", "result"]
    assert record.events("result")[0].data == document


def test_a_task_that_only_looks_leaves_nothing(program: list[str], tmp_path: Path) -> None:
    run(program, tmp_path, "looks_only", "live")

    assert not (tmp_path / ".runbook").exists()


def test_wrong_settings_begin_no_record(program: list[str], tmp_path: Path) -> None:
    document = only_document(run(program, tmp_path, "wrong_settings", "nowhere", "--json"))

    assert document["exit_code"] == 4
    assert "no target 'nowhere'" in document["error"]["seen"]
    assert not (tmp_path / ".runbook").exists()


def test_a_defect_keeps_its_trace_in_a_file(program: list[str], tmp_path: Path) -> None:
    """The screen names the place in one line; the trace is for the maintainers."""
    done = run(program, tmp_path, "broken", "live")

    assert "defect of this tool" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / ".runbook" / "defects" / "trace.txt").read_text()


def test_what_the_system_refuses_is_no_defect(program: list[str], tmp_path: Path) -> None:
    done = run(program, tmp_path, "forbidden", "live")

    assert "Permission denied" in done.stderr
    assert "/somebody/else" in done.stderr
    assert "defect of this tool" not in done.stderr


def test_a_result_that_could_not_be_kept_is_no_success(program: list[str], tmp_path: Path) -> None:
    document = only_document(run(program, tmp_path, "full_disk", "live", "--json", "--report"))

    assert document["error"]["seen"].startswith("Cannot write the run record")
    (record,) = all_runs(tmp_path / ".runbook")
    assert [event.kind for event in record.events()] == ["begin"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_exit_130_with_its_document(program: list[str], tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*program, "waits", "live", "--json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert "waiting" in process.stderr.readline()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)

    document = json.loads(stdout)
    validate(document)
    assert (process.returncode, document["exit_code"], document["outcome"]) == (130, 130, "interrupted")
    assert "Traceback" not in stderr
    (record,) = all_runs(tmp_path / ".runbook")
    assert record.events("result")[0].data["outcome"] == "interrupted"


@pytest.mark.parametrize("path", sorted(COMMANDS.glob("*/result.py")), ids=lambda path: path.parent.name)
def test_a_result_with_fields_of_its_own_is_shown(path: Path) -> None:
    """By `views` in the view.py beside it; the diff of setup and rollback was shown before the question."""
    module = import_module(f"runbook.commands.{path.parent.name}.result")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, CommandResult)]
    (kind,) = [kind for kind in kinds if kind.__module__ == module.__name__]
    own = {field.name for field in fields(kind)} - {field.name for field in fields(CommandResult)}

    assert own == {"diff"} or (path.parent / "view.py").exists()
