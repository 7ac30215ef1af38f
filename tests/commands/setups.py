"""Setup and rollback as the tests call them, on a small installation, and what an operator would see of them."""

from pathlib import Path

from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.result import RollbackResult
from runbook.commands.rollback.steps import rollback
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.console import document
from runbook.files.file_change import FileChange
from runbook.model import CommandResult, StepResult
from runbook.observer import NullObserver
from runbook.runs.run_log import RunLog
from tests.cut_off import cut_off
from tests.installation import Installation, looks_of
from tests.schema import validate


class Watcher(NullObserver):
    """Keeps what the operator would see, and can disturb at the end of a step."""

    def __init__(self) -> None:
        self.diff = ""
        self.notes: list[str] = []
        self.at_end: dict[str, object] = {}
        self.answer = True

    def confirm(self, question: str) -> bool:
        self.notes.append(question)
        return self.answer

    def shows_diff(self, diff: str) -> None:
        self.diff = diff

    def says(self, text: str) -> None:
        self.notes.append(text)

    def ends(self, result: StepResult) -> None:
        disturb = self.at_end.get(result.step)
        if callable(disturb):
            disturb()


def state_of(installed: Installation) -> Path:
    return installed.folder.parent / ".runbook"


def context_of(command: str, installed: Installation, watcher: Watcher, *, run_log: RunLog | None = None) -> RunContext:
    return RunContext(
        command,
        screen=watcher,
        target=installed.target,
        directory=installed.folder.parent,
        runtime=installed,
        run_log=run_log,
    )


def set_up(
    installed: Installation,
    *,
    watcher: Watcher | None = None,
    answer: bool = True,
    run_log: RunLog | None = None,
    **options: object,
) -> SetupResult:
    timed = {"timeout_s": 0.5, **options}
    watching = watcher or Watcher()
    watching.answer = answer
    options_ = SetupOptions(**timed)  # type: ignore[arg-type]  # the fields that the test names
    result = setup(context_of("setup", installed, watching, run_log=run_log), options_)
    validate(document(result))
    return result


def roll_back(
    installed: Installation,
    run_id: str | None = None,
    *,
    force: bool = False,
    restart: bool = True,
    watcher: Watcher | None = None,
) -> RollbackResult:
    options = RollbackOptions(run_id=run_id, force=force, restart=restart, timeout_s=0.5)
    result = rollback(context_of("rollback", installed, watcher or Watcher()), options)
    validate(document(result))
    return result


def outcomes(result: CommandResult) -> dict[str, str]:
    return {step.step: step.outcome for step in result.steps}


def files(installed: Installation) -> list[tuple[int, int, bytes]]:
    return looks_of(installed.dashboard, installed.rules)


def contents(installed: Installation) -> list[bytes]:
    return [content for _, _, content in files(installed)]


def killed_while_writing(installed: Installation) -> None:
    """Leave what SIGKILL leaves between the two files: the first is new, the second torn, the journal knows both."""
    old = contents(installed)
    set_up(installed, restart=False)
    new = contents(installed)
    changes = [FileChange(path=path, before=b, after=a) for path, b, a in zip(paths(installed), old, new, strict=True)]
    half = len(old[1]) // 2
    torn = new[1][:half] + old[1][half:] + new[1][len(old[1]) :]
    cut_off(changes, state_of(installed) / "journal", new[0], torn)


def paths(installed: Installation) -> tuple[Path, Path]:
    return installed.dashboard, installed.rules
