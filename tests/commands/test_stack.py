"""The commands of the local stack: what they show of a stack of which one service does not come up, and of its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.commands.demo.options import DemoOptions
from runbook.commands.demo.steps import demo
from runbook.commands.run_context import RunContext
from runbook.commands.stack.options import StackOptions, UpOptions
from runbook.commands.stack.steps import down, status, up
from runbook.console import document
from runbook.errors import RunbookError
from runbook.local_stack import stack
from runbook.local_stack.tools import found_tools
from runbook.observer import NullObserver
from runbook.settings import LOCAL, load_target
from tests.commands.setups import Watcher
from tests.schema import validate

pytestmark = pytest.mark.stack


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a stack whose Alertmanager exits at once."""
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no Prometheus: {error.seen}")
    broken = tmp_path / "alertmanager"
    broken.write_text("#!/bin/sh\necho 'no templates here'; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("ALERTMANAGER", str(broken))
    yield tmp_path
    stack.down(tmp_path, NullObserver())


def context_of(command: str, directory: Path, watcher: Watcher | None = None) -> RunContext:
    return RunContext(command, screen=watcher or Watcher(), directory=directory, is_recorded=False)


def test_up_names_what_is_not_ready_and_lists_what_runs(directory: Path) -> None:
    """Exit code 1, the log and its last line, and every service; status says the same, down ends it."""
    result = up(context_of("stack.up", directory), UpOptions())

    validate(document(result))
    assert result.exit_code == 1
    assert result.problem is not None
    assert result.problem.seen.splitlines()[-1] == "  no templates here"
    assert result.problem.where == str(directory / ".stack/logs/alertmanager.log")
    assert [part.name for part in result.parts or () if not part.running] == ["alertmanager"]
    assert len(result.parts or ()) == 8
    shown = status(context_of("stack.status", directory), StackOptions())
    assert (shown.exit_code, shown.steps[-1].reason) == (1, "not running: alertmanager")
    stack.start_service(directory, "crm-events-sink", extra_env={"KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    silent = status(context_of("stack.status", directory), StackOptions())
    assert (silent.exit_code, silent.steps[-1].reason) == (1, "not running: alertmanager; not ready: crm-events-sink")

    end = down(context_of("stack.down", directory), StackOptions())

    assert (end.exit_code, end.outcome, end.steps[-1].evidence) == (0, "changed", ())
    assert not (directory / ".stack").exists()


def test_down_lists_what_it_kept(directory: Path) -> None:
    """As evidence, for who has no terminal."""
    up(context_of("stack.up", directory), UpOptions())
    rules = load_target(LOCAL, directory=directory).files.rules
    assert rules is not None
    rules.write_bytes(b"groups: []\n")

    end = down(context_of("stack.down", directory), StackOptions())

    validate(document(end))
    (kept,) = end.steps[-1].evidence
    assert (kept.source, "1 file that differed" in end.steps[-1].reason) == (str(rules), True)
    assert Path(kept.saw.partition("kept as ")[2]).read_bytes() == b"groups: []\n"


def test_demo_leaves_a_stack_that_is_not_whole(directory: Path) -> None:
    """Its log would be gone with it; what to do next is said."""
    watcher = Watcher()
    context = RunContext("demo", target=LOCAL, screen=watcher, directory=directory)

    with pytest.raises(RunbookError, match="alertmanager did not come up"):
        demo(context, DemoOptions())

    assert [part.name for part in stack.status(directory) if not part.running] == ["alertmanager"]
    assert any("the local stack stays up as target local" in note for note in watcher.notes)
