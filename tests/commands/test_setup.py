"""Setup and rollback against a small Grafana and Prometheus that serve what they have read from the real files."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from runbook.commands.apply.steps import Apply
from runbook.commands.execute import execute
from runbook.commands.run.options import RunOptions
from runbook.commands.run.steps import run_all
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.steps import verify
from runbook.errors import DocumentError, UsageError
from runbook.files.file_discovery import found_files
from runbook.interrupts import Interrupted
from runbook.runs.run_history import all_runs
from runbook.settings import Target
from runbook.systems.runtime import Mount, Service
from tests.commands.setups import (
    Watcher,
    contents,
    context_of,
    files,
    killed_while_writing,
    outcomes,
    roll_back,
    set_up,
    state_of,
)
from tests.installation import Installation, an_installation
from tests.loopback import Reply


def test_the_first_setup_writes_has_it_read_and_proves(installed: Installation) -> None:
    """Grafana by a restart, Prometheus by a reload: what it holds in memory, and pending alerts, stay."""
    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    assert (installed.restarted, installed.reloaded_times) == (["grafana"], 1)
    assert [panel["id"] for panel in installed.panels][-3:] == [20, 21, 12]
    assert "CrmEventsSinkDown" in installed.rules.read_text("utf-8")


def test_a_second_setup_changes_no_byte_and_restarts_nothing(installed: Installation) -> None:
    set_up(installed)
    before, installed.restarted = files(installed), []

    result = set_up(installed)

    assert (result.outcome, result.exit_code, result.diff) == ("unchanged", 0, "")
    assert files(installed) == before
    assert installed.restarted == []


def test_a_dry_run_prints_exactly_what_apply_then_does(installed: Installation, tmp_path: Path) -> None:
    """The printed diff, given to `patch`, makes the very bytes that setup writes; the dry run itself writes none."""
    before = files(installed)
    planned = set_up(installed, dry_run=True)
    assert (planned.outcome, planned.exit_code) == ("pending", 2)
    assert files(installed) == before
    assert installed.restarted == []
    old = contents(installed)

    watcher = Watcher()
    applied = set_up(installed, watcher=watcher)

    assert planned.diff == applied.diff == watcher.diff != ""
    written = contents(installed)
    for path, content in zip((installed.dashboard, installed.rules), old, strict=True):
        path.write_bytes(content)
    subprocess.run(["patch", "-s", "-p0", "-d", "/"], input=planned.diff.encode(), check=True, cwd=tmp_path)
    assert contents(installed) == written


def test_a_dry_run_after_a_setup_is_empty(installed: Installation) -> None:
    set_up(installed)

    assert set_up(installed, dry_run=True).exit_code == 0


def test_a_declined_question_leaves_everything(installed: Installation) -> None:
    before = files(installed)

    result = set_up(installed, answer=False)

    assert (result.outcome, result.exit_code) == ("cancelled", 1)
    assert (files(installed), installed.restarted) == (before, [])


def test_files_only(installed: Installation) -> None:
    """For GitOps: with --no-restart neither Prometheus nor the runtime is asked, and Grafana may be away."""
    installed.grafana.routes.clear()
    installed.prometheus.routes.clear()
    installed.missing = {"grafana", "prometheus"}

    result = set_up(installed, restart=False)

    assert (result.outcome, result.exit_code, installed.restarted) == ("changed", 0, [])
    panels = json.loads(installed.dashboard.read_text("utf-8-sig"))["panels"]
    assert panels[-3]["datasource"] == {"type": "prometheus"}
    assert installed.prometheus.asked == []


def test_the_runbooks_panels_letter_by_letter(installed: Installation) -> None:
    result = set_up(installed, verbatim=True)

    assert result.exit_code == 0
    assert installed.panels[-3]["datasource"] == "Prometheus"
    assert "format" not in installed.panels[-2]["targets"][0]
    assert set_up(installed, verbatim=True).outcome == "unchanged"


def test_the_byte_order_mark_goes_only_when_asked(installed: Installation) -> None:
    mark = b"\xef\xbb\xbf"
    assert installed.dashboard.read_bytes().startswith(mark)

    set_up(installed)
    assert installed.dashboard.read_bytes().startswith(mark)

    set_up(installed, strip_bom=True)
    assert not installed.dashboard.read_bytes().startswith(mark)


def test_the_second_alert_only_when_asked(installed: Installation) -> None:
    set_up(installed)
    assert "CrmEventsSinkAbsent" not in installed.rules.read_text("utf-8")

    assert set_up(installed, with_absent_alert=True).outcome == "changed"
    names = [rule.get("alert") for group in installed.groups for rule in group["rules"]]
    assert {"CrmEventsSinkDown", "CrmEventsSinkAbsent"} <= set(names)


def test_a_file_that_is_right_but_not_served_needs_a_restart_only(installed: Installation) -> None:
    set_up(installed)
    before, installed.restarted = files(installed), []
    installed.panels = installed.panels[:-3]

    result = set_up(installed)

    assert (result.outcome, result.diff) == ("changed", "")
    assert (installed.restarted, files(installed)) == (["grafana"], before)


def test_a_grafana_that_never_serves_gets_its_old_file_back(installed: Installation) -> None:
    before = contents(installed)
    installed.grafana_is_blind = True

    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert contents(installed) == before
    assert outcomes(result)["put back"] == "rolled_back"
    assert result.problem is not None
    assert "panel 20" in result.problem.seen
    assert result.problem.seen.endswith("The files are as before, and the old state is served")
    assert (installed.restarted, installed.reloaded_times) == (["grafana"] * 2, 2)
    assert "CrmEventsSinkDown" not in str(installed.groups), "Prometheus reads the old rules again"
    assert outcomes(result)["grafana serves the old state"] == "ok"
    assert outcomes(result)["prometheus serves the old state"] == "ok"


def test_a_prometheus_that_dies_of_the_new_rules_gets_its_old_ones_back(installed: Installation) -> None:
    """It is not waited for until the deadline, and it runs again afterwards."""
    before = contents(installed)
    installed.prometheus_dies_of_new_rules = True
    installed.reload_status = 403

    result = set_up(installed, timeout_s=60.0)

    assert (result.outcome, result.exit_code) == ("rolled_back", 6)
    assert result.duration_s < 30
    assert "has exited with code 2" in result.problem.seen if result.problem else False
    assert contents(installed) == before
    assert installed.exited == set()


def test_a_prometheus_that_refuses_its_files_is_never_restarted(installed: Installation) -> None:
    """A restart would kill it, whoever broke the file."""
    before = contents(installed)
    installed.prometheus_refuses = "group crm_events_slo: could not parse expression"

    result = set_up(installed)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert "prometheus" not in installed.restarted
    assert "could not parse expression" in result.problem.seen if result.problem else False


def test_a_restart_that_the_engine_refuses_is_undone(installed: Installation) -> None:
    before = contents(installed)
    installed.fails = {"grafana"}

    result = set_up(installed)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert result.problem is not None
    assert result.problem.seen == (
        "The engine refused to restart grafana. The files are as before, and the old state is served"
    )


@pytest.mark.parametrize("service", ["grafana", "prometheus"])
def test_a_restart_that_is_not_allowed_is_noticed_before_anything_is_written(
    installed: Installation, service: str
) -> None:
    before = files(installed)
    installed.forbids = {service}

    result = set_up(installed)

    assert (result.exit_code, installed.restarted, files(installed)) == (1, [], before)
    assert result.problem is not None
    assert result.problem.seen == "The engine does not allow this: 403; nothing was written"
    assert f"or add --no-restart, then docker start aether-{service[:4]}" in result.problem.fix
    assert set_up(installed, restart=False).exit_code == 0


def test_a_restart_that_does_not_help_is_a_problem_and_nothing_to_roll_back(installed: Installation) -> None:
    set_up(installed)
    before = files(installed)
    installed.panels, installed.grafana_is_blind = [], True

    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert files(installed) == before


@pytest.mark.parametrize("service", ["grafana", "prometheus"])
def test_a_service_that_is_not_there_is_noticed_before_anything_is_written(
    installed: Installation, service: str
) -> None:
    before = files(installed)
    installed.missing = {service}

    result = set_up(installed)

    assert (result.exit_code, files(installed), installed.restarted) == (1, before, [])
    assert "nearest: aether-other" in result.problem.seen if result.problem else False


@pytest.mark.parametrize("broken", ["grafana", "prometheus"])
def test_a_system_that_cannot_be_asked_is_noticed_before_anything_is_written(
    installed: Installation, broken: str
) -> None:
    before = files(installed)
    getattr(installed, broken).routes = {"*": Reply(502, b"<html><title>Bad Gateway</title></html>", "text/html")}

    result = set_up(installed, datasource_uid="PBFA")

    assert (result.exit_code, files(installed), installed.restarted) == (1, before, [])


def test_the_containers_that_will_be_touched_are_named_before_the_question(installed: Installation) -> None:
    """By the names that the engine gives, not those of the settings; restarted is what was named, and so it is told."""
    installed.containers = {"grafana": "shop-grafana-1", "prometheus": "shop-prometheus-1"}
    installed.reload_status = 403
    watcher = Watcher()

    result = set_up(installed, watcher=watcher)

    plan = "write 2 files, restart shop-grafana-1 and reload (or else restart) shop-prometheus-1"
    told = {step.step: step.reason for step in result.steps}
    assert told["services"] == f"to do: {plan}"
    assert watcher.notes[-1] == f"W{plan[1:]} on target small?"
    assert installed.restarted_containers == ["shop-grafana-1", "shop-prometheus-1"]
    assert told["restart grafana"] == "shop-grafana-1 has been restarted"
    assert told["reload prometheus"] == "shop-prometheus-1 has been restarted: a reload is not available (403)"

    installed.restarted_containers = []
    rollback_watcher = Watcher()
    roll_back(installed, watcher=rollback_watcher)
    assert rollback_watcher.notes[-1] == (
        "Put back 2 files, restart shop-grafana-1 and reload (or else restart) shop-prometheus-1 on target small?"
    )
    assert installed.restarted_containers == ["shop-grafana-1", "shop-prometheus-1"]


def test_a_foreign_change_between_plan_and_write_is_kept(installed: Installation) -> None:
    """Somebody saves the rules while the question waits: neither file is changed, theirs stays."""
    before = installed.dashboard.read_bytes()
    theirs = installed.rules.read_bytes() + b"# mine\n"
    watcher = Watcher()
    watcher.at_end["back up"] = lambda: installed.rules.write_bytes(theirs)

    result = set_up(installed, watcher=watcher)

    assert (result.outcome, result.exit_code, installed.restarted) == ("failed", 1, [])
    assert contents(installed) == [before, theirs]
    assert "changed by somebody else" in result.problem.seen if result.problem else False


def test_a_foreign_change_before_the_roll_back_is_kept_and_said(installed: Installation) -> None:
    """What cannot be put back is not called rolled back: exit 1, with the place of the old bytes."""
    old = contents(installed)
    installed.grafana_is_blind = True
    watcher = Watcher()
    theirs = b"groups: []\n"
    watcher.at_end["reload prometheus"] = lambda: installed.rules.write_bytes(theirs)

    result = set_up(installed, watcher=watcher)

    assert (result.outcome, result.exit_code) == ("failed", 1)
    assert contents(installed) == [old[0], theirs]
    assert result.problem is not None
    assert "could not be put back" in result.problem.seen
    assert f"Not as before this command: {installed.rules}: " in result.problem.seen
    assert result.run_id in result.problem.where
    assert f"inv rollback --run {result.run_id}" in result.problem.fix
    assert f"{result.run_id}/backups" in result.problem.fix


@pytest.mark.parametrize("end", [Interrupted, MemoryError])
@pytest.mark.parametrize("step", ["restart grafana", "reload prometheus", "served by Grafana"])
def test_an_interrupt_or_a_defect_after_the_write_is_undone(
    installed: Installation, step: str, end: type[BaseException]
) -> None:
    """Exit code 130 promises that nothing was left half done: the old bytes, and services that have read them."""
    before = contents(installed)
    watcher = Watcher()

    def disturb() -> None:
        del watcher.at_end[step]  # the undo does the same step again
        raise end

    watcher.at_end[step] = disturb
    with pytest.raises(end):
        set_up(installed, watcher=watcher)

    assert [panel["id"] for panel in installed.panels][-2:] == [19, 12]
    assert "CrmEventsSinkDown" not in str(installed.groups)
    assert contents(installed) == before


def test_an_interrupt_while_writing_comes_after_both_files_and_undoes_them(installed: Installation) -> None:
    before = contents(installed)
    watcher = Watcher()
    watcher.at_end["back up"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a test before has made of it

    try:
        with pytest.raises(KeyboardInterrupt):
            set_up(installed, watcher=watcher)
    finally:
        signal.signal(signal.SIGINT, handler)

    assert (contents(installed), installed.restarted) == (before, [])
    (record,) = all_runs(state_of(installed))
    written = [event.data["outcome"] for event in record.events("step") if event.data["step"] == "write"]
    assert written == ["changed"]


def interrupted_at_restart(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> None:
    """Let Ctrl-C come while Grafana restarts for the first time, and something happen with it."""
    restart, seen = installed.restart, []

    def interrupted(service: Service, *, timeout_s: float) -> None:
        seen.append(service)
        if len(seen) == 1:
            then()
            raise Interrupted
        restart(service, timeout_s=timeout_s)

    monkeypatch.setattr(installed, "restart", interrupted)


def executed(installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - JSON
    """Setup as the command line carries it out: its JSON document."""

    def work(context: RunContext) -> SetupResult:
        context.__dict__ |= {"target": installed.target, "runtime": installed}
        return setup(context, SetupOptions(timeout_s=0.5))

    monkeypatch.chdir(installed.folder.parent)
    code = execute("setup", work, json=True, yes=True)
    document = json.loads(capsys.readouterr().out)
    assert code == document["exit_code"]
    return document


def test_an_interrupt_whose_undo_fails_says_which_file_is_not_back(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Still 130, and what to do about it: somebody else has saved the rules meanwhile, so theirs stay."""
    old = installed.dashboard.read_bytes()
    interrupted_at_restart(installed, monkeypatch, lambda: installed.rules.write_bytes(b"groups: []\n"))

    document = executed(installed, monkeypatch, capsys)

    assert (document["exit_code"], document["outcome"]) == (130, "interrupted")
    assert contents(installed) == [old, b"groups: []\n"]
    error, run = document["error"], document["run_id"]
    assert error["seen"].startswith(f"Interrupted. Not as before this command: {installed.rules}: ")
    assert "changed by somebody else" in error["seen"]
    assert str(installed.rules) in error["where"]
    assert f"inv rollback --run {run}" in error["fix"]
    assert f"{run}/backups" in error["fix"]


def test_an_interrupt_whose_undo_does_not_reach_a_service_says_so(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are back; whether Grafana serves them is not known."""
    old = contents(installed)
    interrupted_at_restart(installed, monkeypatch, lambda: installed.fails.add("grafana"))

    error = executed(installed, monkeypatch, capsys)["error"]

    assert contents(installed) == old
    assert error["seen"] == (
        "Interrupted. The files are as before, but what is served may not be: The engine refused to restart grafana"
    )
    assert error["fix"] == "ask it"


def test_an_interrupt_that_was_undone_leaves_nothing_to_say(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = contents(installed)
    interrupted_at_restart(installed, monkeypatch, lambda: None)

    error = executed(installed, monkeypatch, capsys)["error"]

    assert contents(installed) == old
    assert error["seen"] == "Interrupted; no file was left half written"


def test_an_interrupt_of_the_undo_itself_does_not_promise_the_old_files(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second Ctrl-C right behind the first, before the undo holds signals back."""

    def interrupted(_apply: Apply) -> NoReturn:
        raise Interrupted

    interrupted_at_restart(installed, monkeypatch, lambda: None)
    monkeypatch.setattr(Apply, "_undo", interrupted)

    error = executed(installed, monkeypatch, capsys)["error"]

    assert error["seen"] == f"Interrupted. Not as before this command: {installed.dashboard}, {installed.rules}"


def test_a_defect_whose_undo_fails_says_which_file_is_not_back(installed: Installation) -> None:
    watcher = Watcher()

    def disturb() -> None:
        del watcher.at_end["restart grafana"]
        installed.rules.write_bytes(b"groups: []\n")
        raise MemoryError

    watcher.at_end["restart grafana"] = disturb
    result = set_up(installed, watcher=watcher)

    assert result.exit_code == 1
    assert result.problem is not None
    assert result.problem.seen.startswith(f"MemoryError(). Not as before this command: {installed.rules}: ")


def test_setup_puts_right_what_a_kill_left(installed: Installation) -> None:
    """Both files go back to their old bytes, and are then planned again."""
    killed_while_writing(installed)

    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    assert outcomes(result)["unfinished write"] == "changed"
    assert "unfinished write" not in outcomes(set_up(installed))


def test_a_dry_run_says_what_a_kill_left_and_writes_nothing(installed: Installation) -> None:
    killed_while_writing(installed)
    before = files(installed)

    result = set_up(installed, dry_run=True)

    assert (result.exit_code, files(installed)) == (1, before)
    assert "was killed while it wrote" in result.problem.seen if result.problem else False


def test_a_rule_pasted_into_another_group_is_left_there(installed: Installation) -> None:
    """The same rule elsewhere is drift to report, not a reason for a second one."""
    set_up(installed)
    groups = yaml.safe_load(installed.rules.read_text("utf-8"))
    text = installed.rules.read_text("utf-8")
    start = text.index("      # Alert: CRM Events Sink down")
    end = text.index("  - name:", start)
    installed.rules.write_text(text[:start].rstrip("\n") + "\n\n" + text[end:].rstrip("\n") + "\n" + text[start:end])
    assert len(groups["groups"]) == 6
    installed.read_rules()
    watcher = Watcher()

    result = set_up(installed, watcher=watcher)

    assert result.outcome == "unchanged"
    assert any("group" in note for note in watcher.notes)


def test_a_run_looks_where_its_setup_was_told_to(installed: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its verify would call the datasource of the option a wrong one."""
    seen: list[str] = []

    def no_traffic(context: RunContext, _: TrafficOptions) -> NoReturn:
        seen.append(context.target.grafana.datasource_uid or "")
        raise Interrupted

    monkeypatch.setattr("runbook.commands.run.steps.traffic", no_traffic)
    installed.grafana.routes["GET /api/datasources"] = Reply(200, [source("PBFA", "Prometheus"), source("other", "B")])
    context = context_of("run", installed, Watcher())

    with pytest.raises(Interrupted):
        run_all(context, RunOptions(datasource_uid="other", timeout_s=0.5))

    assert seen == ["other"]
    assert installed.panels[-3]["datasource"] == {"type": "prometheus", "uid": "other"}


@pytest.mark.parametrize("name", ["a b", "two\nlines", "-x", "it's", "bytes\udcff"], ids=ascii)
def test_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    """Written, recorded, said, and put back; the printed diff can be applied, and printed paths can be pasted."""
    folder = tmp_path / name
    folder.mkdir()
    with an_installation(folder) as installed:
        before = contents(installed)
        planned = set_up(installed, dry_run=True)
        result = set_up(installed)
        assert (result.outcome, result.exit_code) == ("changed", 0)
        written = contents(installed)

        assert roll_back(installed).exit_code == 0
        assert contents(installed) == before
        patched = os.fsencode(planned.diff or "")
        subprocess.run(["patch", "-s", "-p0", "-d", "/"], input=patched, check=True, cwd=tmp_path)
        assert contents(installed) == written
    source = next(step for step in result.steps if step.step == "plan").evidence[0].source
    shown = subprocess.run(["bash", "-c", f"printf %s {source}"], capture_output=True, check=True).stdout
    assert os.fsencode(installed.dashboard) == shown


def test_a_file_that_may_not_be_written_is_known_before_the_question(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run only reads, and so it goes on."""

    def refuse(path: Path) -> NoReturn:
        raise DocumentError("Read-only file system", where=str(path), fix="elsewhere")

    monkeypatch.setattr("runbook.commands.setup.steps.refuse_unwritable", refuse)
    watcher, before = Watcher(), files(installed)

    assert set_up(installed, dry_run=True).exit_code == 2
    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, files(installed)) == (1, before)
    assert not any(note.endswith("?") for note in watcher.notes)


def test_somebodys_panel_is_repaired_served_and_proven(installed: Installation) -> None:
    """What they chose stays in the file and in what is served; a second run changes nothing; --reset-panels resets."""
    set_up(installed)
    text = installed.dashboard.read_text("utf-8-sig")
    theirs = text.replace('"format": "table"', '"format": "time_series"').replace('"decimals": 3', '"decimals": 5')
    installed.dashboard.write_text(theirs, encoding="utf-8")
    installed.read_dashboard()
    watcher = Watcher()

    result = set_up(installed, watcher=watcher)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    assert [line for line in (result.diff or "").splitlines() if line[:2] == "+ "] == [
        '+                    "format": "table",'
    ]
    assert any("panel 21 kept: fieldConfig.defaults.decimals (" in note for note in watcher.notes)
    assert installed.panels[-2]["fieldConfig"]["defaults"]["decimals"] == 5
    assert set_up(installed).outcome == "unchanged"
    assert set_up(installed, reset_panels=True).outcome == "changed"
    assert installed.panels[-2]["fieldConfig"]["defaults"]["decimals"] == 3


def test_an_old_dashboard_that_is_still_served_is_no_proof(installed: Installation) -> None:
    """Only the needed field differs, and Grafana does not read the file again: undone."""
    set_up(installed)
    text = installed.dashboard.read_text("utf-8-sig")
    installed.dashboard.write_text(text.replace('"format": "table"', '"format": "time_series"'), encoding="utf-8")
    installed.read_dashboard()
    before, installed.grafana_is_blind = contents(installed), True

    result = set_up(installed)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert result.problem is not None
    assert "targets[0].format" in result.problem.seen


def test_a_symbolic_link_is_followed_and_said(installed: Installation, tmp_path: Path) -> None:
    link = tmp_path / "linked.json"
    link.symlink_to(installed.dashboard)
    watcher = Watcher()

    assert set_up(installed, watcher=watcher, dashboard=link).exit_code == 0

    assert f"{link} is a symbolic link to {installed.dashboard}, which is the file that counts" in watcher.notes
    assert link.is_symlink()
    assert b"CRM Events Ingested" in installed.dashboard.read_bytes()


@pytest.mark.parametrize(
    "look",
    [
        lambda context: troubleshoot(context, TroubleshootOptions()),
        lambda context: verify(context, VerifyOptions()),
    ],
    ids=["troubleshoot", "verify"],
)
def test_who_only_looks_is_told_what_a_kill_left(installed: Installation, look: Callable[[RunContext], object]) -> None:
    """Nothing is written by them, and nothing is hidden either."""
    killed_while_writing(installed)
    before, watcher = files(installed), Watcher()

    look(context_of("look", installed, watcher))

    assert "was killed while it wrote" in watcher.notes[0]
    assert files(installed) == before


@pytest.mark.parametrize("name", ["loop", "x" * 300], ids=["a loop of links", "a name that is too long"])
def test_a_path_that_cannot_be_followed_is_the_operators_mistake(
    installed: Installation, tmp_path: Path, name: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    result = set_up(installed, dashboard=tmp_path / name)

    assert result.exit_code == 4
    assert "cannot be followed" in result.problem.seen if result.problem else False


def test_one_file_for_both_is_refused_as_such(installed: Installation) -> None:
    """It is not another run that holds it."""
    result = set_up(installed, dashboard=installed.rules)

    assert result.exit_code == 1
    assert "Another command" not in result.problem.seen if result.problem else False


def source(uid: str, name: str) -> dict[str, object]:
    return {"uid": uid, "name": name, "type": "prometheus", "url": f"http://{name}", "isDefault": name == "Prometheus"}


@pytest.mark.parametrize("restart", [True, False])
def test_a_datasource_that_grafana_does_not_have_is_refused_before_anything_is_written(
    installed: Installation, *, restart: bool
) -> None:
    """A mistyped uid made panels without data; the known ones are named."""
    before = files(installed)

    result = set_up(installed, datasource_uid="PBFB", restart=restart)

    assert (result.exit_code, files(installed), installed.restarted) == (1, before, [])
    assert result.problem is not None
    assert result.problem.seen == "Grafana has no datasource with uid 'PBFB'; it has: PBFA (Prometheus)"
    assert result.problem.fix.startswith("give --datasource-uid one of these uids, or leave it out")


def test_the_uid_of_another_datasource_is_taken(installed: Installation) -> None:
    """Its name is not the one of the settings: the panels lead there, and the bare name of the other does not."""
    installed.grafana.routes["GET /api/datasources"] = Reply(200, [source("PBFA", "Prometheus"), source("other", "B")])

    result = set_up(installed, datasource_uid="other")

    assert result.exit_code == 0
    assert installed.panels[-3]["datasource"] == {"type": "prometheus", "uid": "other"}
    assert next(step for step in result.steps if step.step == "datasource").reason == "B has uid other in this Grafana"


@pytest.mark.parametrize("status", [403, 503])
def test_a_uid_that_could_not_be_checked_is_said(installed: Installation, status: int) -> None:
    """A user who may not list datasources, and a Grafana that is away, are no reason to refuse."""
    installed.grafana.routes["GET /api/datasources"] = Reply(status, {"message": "no"})

    result = set_up(installed, datasource_uid="PBFA", restart=False)

    assert result.exit_code == 0
    reason = next(step for step in result.steps if step.step == "datasource").reason
    assert reason.startswith("uid PBFA, as set; not checked, for Grafana did not say: ")


def test_a_rules_file_that_prometheus_does_not_read_is_refused_before_the_first_restart(
    installed: Installation, tmp_path: Path
) -> None:
    """Another file is mounted: it was written, Grafana and Prometheus were restarted, and only then was it said."""
    other = tmp_path / "other.yml"
    other.write_bytes(installed.rules.read_bytes())
    inside = installed.target.prometheus.rules_inside
    installed.mounted = (Mount(source=str(installed.rules), destination=inside),)
    before = files(installed)

    result = set_up(installed, rules=other)

    assert (result.exit_code, files(installed), installed.restarted, installed.reloaded_times) == (1, before, [], 0)
    assert other.read_bytes() == installed.rules.read_bytes()
    assert result.problem is not None
    assert f"aether-prom has {installed.rules} as {inside}; nothing was written" in result.problem.seen
    assert f"inv setup --rules {installed.rules}" in result.problem.fix
    assert set_up(installed, rules=other, restart=False).exit_code == 0, "the file alone may be written"
    assert set_up(installed).exit_code == 0, "the mounted one is taken"


def test_a_rules_file_that_the_configuration_does_not_list_is_refused_before_the_first_restart(
    installed: Installation,
) -> None:
    before, installed.rule_files = files(installed), ("/etc/prometheus/other.yml",)

    result = set_up(installed)

    assert (result.exit_code, files(installed), installed.restarted, installed.reloaded_times) == (1, before, [], 0)
    assert result.problem is not None
    assert "its rule_files are /etc/prometheus/other.yml; nothing was written" in result.problem.seen
    assert "add it to rule_files in prometheus.yml" in result.problem.fix


def test_a_configuration_that_prometheus_does_not_show_is_no_reason_to_refuse(installed: Installation) -> None:
    installed.prometheus.routes["GET /api/v1/status/config"] = Reply(403, {"message": "no"})

    assert set_up(installed).exit_code == 0


def test_which_files_are_meant(tmp_path: Path, installed: Installation) -> None:
    """Options go before settings, a file before the folder of the same source."""
    by_setting = installed.target
    one = found_files(by_setting, installed, dashboard=tmp_path / "a.json")
    assert (one.dashboard, one.rules) == (tmp_path / "a.json", installed.rules)
    other = found_files(by_setting, installed, monitoring_dir=tmp_path / "x")
    assert (other.rules, other.how) == (
        tmp_path / "x" / "prometheus-crm-events-rules.yml",
        "named by options or settings",
    )
    unnamed = Target.from_tables("none", {}, source="test")
    with pytest.raises(UsageError, match="is not set, and no bind mount"):
        found_files(unnamed, installed)
