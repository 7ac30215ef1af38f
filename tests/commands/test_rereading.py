"""How the services are made to read their files: a reload where it is known to reach them, else a restart."""

import sys
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.model import CommandResult, StepResult
from runbook.runs.run_log import RunLog
from tests.commands.setups import Watcher, contents, outcomes, roll_back, set_up
from tests.installation import Installation

UNREADABLE = RunbookError("the image has no cat", where="docker exec", fix="none")


def step(result: CommandResult, name: str) -> StepResult:
    return next(step for step in result.steps if step.step == name)


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (b"groups: []\n", "another file is inside (R_STALE_INODE): 11 bytes, SHA-256"),
        (None, "there is no such file inside (R_NOT_MOUNTED)"),
        (UNREADABLE, "the file inside cannot be read (the image has no cat)"),
    ],
    ids=["stale inode", "not mounted", "unreadable"],
)
def test_a_reload_that_may_not_reach_the_file_is_followed_by_a_restart(
    installed: Installation, inside: bytes | RunbookError | None, said: str
) -> None:
    """A reload of the old file answers 200 as well: what is inside decides, not the answer."""
    installed.inside = inside

    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    assert (installed.reloaded_times, installed.restarted) == (1, ["grafana", "prometheus"])
    assert said in step(result, "reload prometheus").reason
    assert "CrmEventsSinkDown" in str(installed.groups)


def test_the_evidence_of_a_reload_is_the_hash_inside_and_the_answer(installed: Installation) -> None:
    told = step(set_up(installed), "reload prometheus")

    assert [seen.saw for seen in told.evidence][1:] == ["200"]
    assert told.evidence[0].saw.startswith(f"the same as on this host: {installed.rules.stat().st_size} bytes, SHA-256")
    assert installed.restarted == ["grafana"]


@pytest.mark.parametrize("status", [403, 404, 502])
def test_a_prometheus_without_reloads_is_restarted(installed: Installation, status: int) -> None:
    installed.reload_status = status

    result = set_up(installed)

    assert (result.exit_code, installed.restarted) == (0, ["grafana", "prometheus"])
    assert step(result, "reload prometheus").evidence[1].saw == str(status)


@pytest.mark.parametrize("cause", ["no lifecycle", "stale inode"])
def test_a_file_that_promtool_rejects_is_no_reason_to_end_prometheus(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Where the reload says nothing of the file, promtool is asked before the restart, and setup undoes itself.

    The file was fine when it was planned, so a program that rejects everything from the write on plays promtool.
    """
    promtool, mark = tmp_path / "promtool", tmp_path / "written"
    program = f"from pathlib import Path\nif Path({str(mark)!r}).exists():\n    "
    program += "raise SystemExit('could not parse expression')\n"
    promtool.write_text(f"#!{sys.executable}\n{program}")
    promtool.chmod(0o755)
    watcher = Watcher()
    watcher.at_end["write"] = mark.touch
    monkeypatch.setenv("RUNBOOK_PROMETHEUS_PROMTOOL", str(promtool))
    before = contents(installed)
    installed.reload_status = 403 if cause == "no lifecycle" else 200
    installed.inside = b"groups: []\n" if cause == "stale inode" else installed.inside

    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert "prometheus" not in installed.restarted
    assert result.problem is not None
    assert "could not parse expression" in result.problem.seen


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("there", [True, False], ids=["the alert is there", "the alert is missing"])
def test_rules_that_prometheus_refuses_anyway_are_named_before_anything_is_written(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool, restart: bool
) -> None:
    """With promtool's own line; such a file was called ok where the alert was in it already."""
    if there:
        set_up(installed)
    promtool = tmp_path / "promtool"
    said = 'rules.yml: 12:15: group "other", rule 1, "A": could not parse expression'
    promtool.write_text(
        f"#!{sys.executable}\nimport sys\nprint('  FAILED:')\nprint({said!r})\nsys.exit(1)\n".replace(
            "'rules.yml: ", "sys.argv[-1] + ': "
        )
    )
    promtool.chmod(0o755)
    monkeypatch.setenv("RUNBOOK_PROMETHEUS_PROMTOOL", str(promtool))
    before, installed.restarted = contents(installed), []

    result = set_up(installed, restart=restart)

    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert (contents(installed), installed.restarted) == (before, [])
    assert result.problem is not None
    assert 'refuse this rules file, and with it every rule in it: promtool: 12:15: group "other"' in result.problem.seen
    assert result.problem.where == f"{installed.rules}:12"
    assert "RUNBOOK_PROMETHEUS_PROMTOOL" in result.problem.fix


def test_the_old_state_must_be_served_again_after_an_undo(installed: Installation) -> None:
    """Prometheus never loads the rule; after the undo Grafana goes on serving the new panels: that is said."""
    before = contents(installed)
    installed.prometheus_is_deaf = True
    watcher = Watcher()
    watcher.at_end["served by Grafana"] = lambda: setattr(installed, "grafana_is_blind", True)

    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (1, before), "6 would promise the old state"
    assert outcomes(result)["grafana serves the old state"] == "failed"
    assert result.problem is not None
    assert (
        "The files are as before, but what is served may not be: Grafana serving the old panels was not seen"
        in result.problem.seen
    )
    assert "panel 20 is still served" in result.problem.seen


def test_an_alert_that_stays_loaded_after_an_undo_is_said(installed: Installation) -> None:
    installed.grafana_is_blind = True
    watcher = Watcher()
    watcher.at_end["reload prometheus"] = lambda: setattr(installed, "prometheus_is_deaf", True)

    result = set_up(installed, watcher=watcher)

    assert result.exit_code == 1
    assert outcomes(result)["grafana serves the old state"] == "ok"
    assert result.problem is not None
    assert "CrmEventsSinkDown in group crm_events_alerts is still loaded" in result.problem.seen


def test_a_service_that_fails_during_the_undo_does_not_keep_the_other_from_it(installed: Installation) -> None:
    """Grafana's restart is refused from then on; Prometheus is told of the old rules all the same."""
    before = contents(installed)
    watcher = Watcher()

    def disturb() -> None:
        installed.fails = {"grafana"}
        installed.panels = installed.panels[:-3]

    watcher.at_end["reload prometheus"] = disturb
    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (1, before)
    assert "CrmEventsSinkDown" not in str(installed.groups)
    assert outcomes(result)["prometheus serves the old state"] == "ok"
    assert result.problem is not None
    assert "The engine refused to restart grafana" in result.problem.seen


def test_a_prometheus_without_any_rules_is_not_the_old_state(installed: Installation) -> None:
    installed.grafana_is_blind = True
    watcher = Watcher()

    def disturb() -> None:
        installed.prometheus_is_deaf, installed.groups = True, []

    watcher.at_end["reload prometheus"] = disturb
    result = set_up(installed, watcher=watcher)

    assert result.exit_code == 1
    assert "is not loaded" in result.problem.seen if result.problem else False


def test_a_record_that_is_full_right_after_the_write_hides_nothing(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files were written, and nobody can keep that: they are put back."""
    before, append = contents(installed), RunLog.append

    def full(record: RunLog, kind: str, data: object) -> None:
        if kind == "step" and getattr(data, "step", "") == "write":
            raise RunbookError("Cannot write the run record: full", where="record", fix="room")
        append(record, kind, data)

    monkeypatch.setattr(RunLog, "append", full)
    result = set_up(installed)

    assert (result.exit_code, contents(installed), installed.restarted) == (6, before, [])


def test_a_rollback_that_is_not_served_is_undone_too(installed: Installation) -> None:
    """The new files stay, and they are what is served."""
    set_up(installed)
    after = contents(installed)
    installed.grafana_is_blind = True

    result = roll_back(installed)

    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert contents(installed) == after
    assert [panel["id"] for panel in installed.panels][-3:] == [20, 21, 12]
    assert result.problem is not None
    assert result.problem.seen.endswith("The files are as before, and the old state is served")
