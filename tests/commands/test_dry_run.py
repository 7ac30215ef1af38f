"""A dry run through the whole of setup, on files as the field has them: what it prints is what then happens."""

import os
from pathlib import Path

import pytest

from runbook.commands.setup.result import SetupResult
from runbook.files.file_change import FileChange
from tests.commands.alone import Files
from tests.files.found_dashboards import found_dashboard
from tests.files.found_rules import found_rules

pytestmark = pytest.mark.timeout(300)

CASES = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 150


def diff_of(files: Files) -> str:
    """The difference that somebody else sees, of what the files held and hold."""
    plans = zip(files.paths, files.before, files.contents(), strict=True)
    return "".join(FileChange(path=path, before=old, after=new).diff() for path, old, new in plans)


def ended(result: SetupResult) -> tuple[str | None, str | None]:
    """What was said: the diff, and the refusal."""
    return result.diff, result.problem.seen if result.problem else None


def test_a_dry_run_prints_the_change_byte_for_byte(tmp_path: Path) -> None:
    """The same diff as the setup behind it, and as the files themselves; the same refusal, which writes nothing."""
    changed = refused = 0
    for seed in range(CASES):
        files = Files(tmp_path / str(seed), dashboard=found_dashboard(seed).raw, rules=found_rules(seed).raw)
        directory = tmp_path / str(seed)

        dry = files.set_up(directory, dry_run=True)
        assert files.wrong([files.before]) == "", f"seed {seed}"
        real = files.set_up(directory)

        assert ended(dry) == ended(real), f"seed {seed}"
        assert (dry.diff or "") == diff_of(files), f"seed {seed}"
        assert (dry.exit_code, real.exit_code) in {(2, 0), (0, 0), (1, 1)}, f"seed {seed}"
        changed += dry.exit_code == 2
        refused += dry.exit_code == 1
    assert changed > CASES // 4
    assert refused > CASES // 10
