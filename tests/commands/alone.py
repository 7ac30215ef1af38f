"""What the programs of this folder share: setup and rollback as a whole, on files alone, in forked processes.

They are programs because they fork, which a test runner with threads must not.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from runbook.commands.rollback.steps import RollbackOptions, rollback
from runbook.commands.setup.steps import SetupOptions, setup
from runbook.files.compare import Datasource
from runbook.files.dashboard import plan_panels
from runbook.files.desired import wanted_panels, wanted_rules
from runbook.files.rules import plan_rules
from runbook.model import TaskResult
from runbook.observer import NullObserver
from runbook.runs.run_log import begin_run
from runbook.settings import Target

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("grafana/dashboards/crm_events_pipeline.json", "prometheus-crm-events-rules.yml")
UID = "PBFA"

sys.path.insert(0, str(ROOT / "tests" / "files"))  # the shim that numbers system calls


class Nobody:
    """The runtime of files alone: whoever asks it anything has found a defect."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


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
            plan_panels(self.before[0], panels, source="d.json").after,
            plan_rules(self.before[1], rules, source="r.yml").after,
        ]

    def wrong(self, states: Sequence[list[bytes]]) -> str:
        """What is wrong with the files now: empty if they are in one of these states, in the inodes that they had."""
        if self.contents() not in states:
            return f"other bytes: {[len(content) for content in self.contents()]}"
        return "" if [path.stat().st_ino for path in self.paths] == self.inodes else "an inode was replaced"

    def set_up(self, state_dir: Path, *, answer: bool = True, **options: bool) -> TaskResult:
        target = self._target()
        return setup(
            target,
            SetupOptions(restart=False, datasource_uid=UID, **options),
            runtime=Nobody(),
            state_dir=state_dir,
            record=begin_run(state_dir, task="setup", target=target.name),
            observer=NullObserver(),
            confirm=lambda _: answer,
        )

    def roll_back(self, state_dir: Path) -> TaskResult:
        target = self._target()
        return rollback(
            target,
            RollbackOptions(restart=False),
            runtime=Nobody(),
            state_dir=state_dir,
            record=begin_run(state_dir, task="rollback", target=target.name),
            observer=NullObserver(),
            confirm=lambda _: True,
        )

    def _target(self) -> Target:
        return Target.from_tables("alone", {"files": {"monitoring_dir": str(self.folder)}}, source="test")
