"""Setup and rollback as the tests call them, on a small installation, and what an operator would see of them."""

from pathlib import Path

from cut_off import cut_off
from installation import Installation, looks_of

from runbook.commands.rollback.steps import RollbackOptions, rollback
from runbook.commands.setup.steps import SetupOptions, setup
from runbook.console import document, validate
from runbook.files.writing import Change
from runbook.model import StepResult, TaskResult
from runbook.observer import NullObserver
from runbook.runs.run_log import RunLog, begin_run


class Watcher(NullObserver):
    """Keeps what the operator would see, and can disturb at the end of a step."""

    def __init__(self) -> None:
        self.diff = ""
        self.notes: list[str] = []
        self.at_end: dict[str, object] = {}

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


def set_up(
    installed: Installation,
    *,
    watcher: Watcher | None = None,
    answer: bool = True,
    record: RunLog | None = None,
    **options: object,
) -> TaskResult:
    timed = {"timeout_s": 0.5, **options}
    result = setup(
        installed.target,
        SetupOptions(**timed),  # type: ignore[arg-type]  # the fields that the test names
        runtime=installed,
        state_dir=state_of(installed),
        record=record or begin_run(state_of(installed), task="setup", target="small"),
        observer=watcher or Watcher(),
        confirm=lambda _: answer,
    )
    validate(document(result))
    return result


def roll_back(
    installed: Installation,
    run_id: str | None = None,
    *,
    force: bool = False,
    restart: bool = True,
    watcher: Watcher | None = None,
) -> TaskResult:
    result = rollback(
        installed.target,
        RollbackOptions(run_id=run_id, force=force, restart=restart, timeout_s=0.5),
        runtime=installed,
        state_dir=state_of(installed),
        record=begin_run(state_of(installed), task="rollback", target="small"),
        observer=watcher or Watcher(),
        confirm=lambda _: True,
    )
    validate(document(result))
    return result


def outcomes(result: TaskResult) -> dict[str, str]:
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
    changes = [Change(path=path, before=b, after=a) for path, b, a in zip(paths(installed), old, new, strict=True)]
    half = len(old[1]) // 2
    torn = new[1][:half] + old[1][half:] + new[1][len(old[1]) :]
    cut_off(changes, state_of(installed) / "journal", new[0], torn)


def paths(installed: Installation) -> tuple[Path, Path]:
    return installed.dashboard, installed.rules
