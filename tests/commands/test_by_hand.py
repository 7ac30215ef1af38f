"""A target without a runtime: its services are told by their own APIs, or their operator is asked to restart them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from runbook.commands.logs.options import LogsOptions
from runbook.commands.logs.steps import logs
from runbook.commands.rollback.options import RollbackOptions
from runbook.commands.rollback.result import RollbackResult
from runbook.commands.rollback.steps import rollback
from runbook.commands.run_context import RunContext
from runbook.commands.setup.options import SetupOptions
from runbook.commands.setup.result import SetupResult
from runbook.commands.setup.steps import setup
from runbook.console import document
from runbook.settings import Target
from tests.commands.setups import Watcher, contents, outcomes
from tests.installation import Installation
from tests.loopback import Reply
from tests.schema import validate

GRAFANA_RELOAD = "POST /api/admin/provisioning/dashboards/reload"


@dataclass
class Operator(Watcher):
    """Restarts what he is asked to restart, if he is at his desk."""

    installed: Installation
    is_there: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def says(self, text: str) -> None:
        super().says(text)
        if text.startswith("Restart "):
            self.asked.append(text)
            if self.is_there:
                read = self.installed.read_rules if "prometheus" in text else self.installed.read_dashboard
                read()


@pytest.fixture
def operator(installed: Installation) -> Iterator[Operator]:
    installed.grafana.routes[GRAFANA_RELOAD] = Reply(403, {"message": "no"})
    installed.reload_status = 403
    yield Operator(installed)
    assert installed.restarted == [], "nothing but its operator restarts anything"


def target_of(installed: Installation, **sink: str) -> Target:
    tables = {
        "runtime": {"kind": "none"},
        "files": {"monitoring_dir": str(installed.folder)},
        "grafana": {"url": installed.grafana.url},
        "prometheus": {"url": installed.prometheus.url},
        "sink": sink,
    }
    return Target.from_tables("small", tables, source="test")


def context_of(command: str, operator: Operator, target: Target | None = None) -> RunContext:
    made = target or target_of(operator.installed)
    return RunContext(command, screen=operator, target=made, directory=operator.installed.folder.parent)


def set_up(operator: Operator, *, restart: bool = True, timeout_s: float = 1.0) -> SetupResult:
    result = setup(context_of("setup", operator), SetupOptions(timeout_s=timeout_s, restart=restart))
    validate(document(result))
    return result


def roll_back(operator: Operator) -> RollbackResult:
    result = rollback(context_of("rollback", operator), RollbackOptions(timeout_s=1.0))
    validate(document(result))
    return result


def test_the_operator_restarts_what_setup_asks_for_and_it_is_proven_served(operator: Operator) -> None:
    """There and back; the second setup asks for nothing."""
    before = contents(operator.installed)

    first = set_up(operator)

    assert (first.outcome, first.exit_code) == ("changed", 0)
    assert [text.split()[1] for text in operator.asked] == ["prometheus", "grafana"]
    assert "a reload is not available (403)" in operator.asked[0]
    assert "1 s (--timeout)" in operator.asked[0]
    assert "not seen within 0.5 s: version 1 is served without panel 20" in operator.asked[1]
    told = outcomes(first)
    assert (told["tell grafana"], told["reload prometheus"]) == ("not_checked", "not_checked"), "nobody saw a restart"
    assert (told["served by Grafana"], told["loaded by Prometheus"]) == ("ok", "ok")
    assert any("ask you to restart it" in note for note in operator.notes)

    assert (set_up(operator).outcome, len(operator.asked)) == ("unchanged", 2)
    back = roll_back(operator)
    assert (back.outcome, back.exit_code, contents(operator.installed)) == ("changed", 0, before)
    assert len(operator.asked) == 4


def test_services_that_let_themselves_be_told_need_no_operator(operator: Operator) -> None:
    def read(_: object) -> Reply:
        operator.installed.read_dashboard()
        return Reply(200, {"message": "Dashboards config reloaded"})

    operator.installed.grafana.routes[GRAFANA_RELOAD] = read
    operator.installed.reload_status = 200

    result = set_up(operator)

    assert (result.exit_code, operator.asked) == (0, [])
    assert outcomes(result)["tell grafana"] == "changed"


def test_grafana_that_reads_its_folder_by_itself_needs_no_restart(operator: Operator) -> None:
    """It serves the change before anybody is asked; Prometheus never reads by itself."""
    operator.at_end["reload prometheus"] = operator.installed.read_dashboard

    result = set_up(operator)

    assert (result.exit_code, [text.split()[1] for text in operator.asked]) == (0, ["prometheus"])
    (told,) = [step for step in result.steps if step.step == "tell grafana"]
    assert "does not allow this login a reload (403)" in told.reason


def test_without_the_restart_setup_undoes_itself_and_says_what_was_seen_last(operator: Operator) -> None:
    """The old state was served all the time, so it is proven at once: exit code 6."""
    before = contents(operator.installed)
    operator.is_there = False

    result = set_up(operator)

    assert (result.outcome, result.exit_code, contents(operator.installed)) == ("rolled_back", 6, before)
    assert result.problem is not None
    assert "was not seen within 0.5 s: version 1 is served without panel 20" in result.problem.seen


def test_a_file_that_prometheus_refuses_is_no_reason_to_ask_for_a_restart(operator: Operator) -> None:
    operator.installed.prometheus_refuses = "bad rule"

    result = set_up(operator)

    assert result.exit_code == 6
    assert not any("prometheus" in text for text in operator.asked)


def test_no_restart_asks_for_nothing(operator: Operator) -> None:
    result = set_up(operator, restart=False)

    assert (result.exit_code, operator.asked) == (0, [])


def test_files_that_no_setting_names_are_asked_for(operator: Operator) -> None:
    """There are no bind mounts to ask: the fix names the setting."""
    files = Target.from_tables("small", {"runtime": {"kind": "none"}}, source="test").files
    target = replace(target_of(operator.installed), files=files)

    result = setup(context_of("setup", operator, target), SetupOptions())

    assert result.exit_code == 4
    assert result.problem is not None
    assert "RUNBOOK_FILES_MONITORING_DIR" in result.problem.fix


def test_logs_says_that_there_are_none_and_reads_the_file_of_a_setting(operator: Operator, tmp_path: Path) -> None:
    nothing = logs(context_of("logs", operator), LogsOptions())
    assert nothing.problem is not None
    assert (nothing.exit_code, "There is no log of crm-events-sink" in nothing.problem.seen) == (1, True)

    (tmp_path / "sink.log").write_text("Received lead.created\n", encoding="utf-8")
    target = target_of(operator.installed, log_file=str(tmp_path / "sink.log"))
    found = logs(context_of("logs", operator, target), LogsOptions())
    assert found.exit_code == 0
    assert [line.text for line in found.lines or ()] == ["Received lead.created"]
