"""What the programs of this folder share: setup and rollback as a whole, on files alone, in forked processes.

They are programs because they fork, which a test runner with threads must not.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.result import RollbackResult
from runbook.commands.rollback.steps import rollback
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels, wanted_rules
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from runbook.observer import NullObserver
from runbook.settings import Target

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("grafana/dashboards/crm_events_pipeline.json", "prometheus-crm-events-rules.yml")
UID = "PBFA"


class Nobody:
    """The runtime of files alone: whoever asks it anything has found a defect."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


class Answering(NullObserver):
    """Answers every question in one way."""

    def __init__(self, *, answer: bool) -> None:
        self.answer = answer

    def confirm(self, question: str) -> bool:
        assert question
        return self.answer


class Files:
    """The reference files in a folder of their own, as they were and as setup must make them."""

    def __init__(self, folder: Path, *, dashboard: bytes | None = None, rules: bytes | None = None) -> None:
        reference = ROOT / "monitoring"
        self.folder = folder / "monitoring"
        self.paths = [self.folder / name for name in NAMES]
        for path, name, content in zip(self.paths, NAMES, (dashboard, rules), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                shutil.copyfile(reference / name, path)
            else:
                path.write_bytes(content)
        self.before = self.contents()
        self.inodes = [path.stat().st_ino for path in self.paths]

    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.paths]

    def after(self, *, with_absent_alert: bool = False) -> list[bytes]:
        """What the editors make of them, by themselves."""
        panels = wanted_panels(Datasource(uid=UID))
        rules = wanted_rules(with_absent_alert=with_absent_alert)
        return [
            plan_panels(self.before[0], panels, path=Path("d.json")).after,
            plan_rules(self.before[1], rules, path=Path("r.yml")).after,
        ]

    def wrong(self, states: Sequence[list[bytes]]) -> str:
        """What is wrong with the files now: empty if they are in one of these states, in the inodes that they had."""
        if self.contents() not in states:
            return f"other bytes: {[len(content) for content in self.contents()]}"
        return "" if [path.stat().st_ino for path in self.paths] == self.inodes else "an inode was replaced"

    def set_up(self, directory: Path, *, answer: bool = True, **options: Any) -> SetupResult:  # noqa: ANN401 - as typed
        chosen = SetupOptions(restart=False, datasource_uid=UID, **options)
        return setup(self._context("setup", directory, answer=answer), chosen)

    def roll_back(self, directory: Path) -> RollbackResult:
        return rollback(self._context("rollback", directory, answer=True), RollbackOptions(restart=False))

    def _context(self, command: str, directory: Path, *, answer: bool) -> RunContext:
        screen = Answering(answer=answer)
        return RunContext(command, screen=screen, target=self._target(), directory=directory, runtime=Nobody())  # type: ignore[arg-type]  # whoever asks it anything has found a defect

    def _target(self) -> Target:
        return Target.from_tables("alone", {"files": {"monitoring_dir": str(self.folder)}}, source="test")
