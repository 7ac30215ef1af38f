"""The rule is proven by what can be asked at once: it is loaded as wanted, and its expression answers."""

from collections.abc import Callable
from typing import Any

import pytest

from runbook.model import StepResult
from tests.commands.setups import Watcher, contents, outcomes, roll_back, set_up
from tests.installation import Installation
from tests.loopback import Reply

EXPRESSION = 'up{job="crm-events-sink"} == 0'
LOADED = "loaded by Prometheus"


def proof(steps: tuple[StepResult, ...], name: str = LOADED) -> StepResult:
    return next(step for step in steps if step.step == name)


def series(*values: str) -> Reply:
    result = [{"metric": {"job": "crm-events-sink"}, "value": [1, value]} for value in values]
    return Reply(200, {"status": "success", "data": {"resultType": "vector", "result": result}})


def test_a_rule_that_is_not_evaluated_yet_is_proven_without_waiting(installed: Installation) -> None:
    """What is still due is said, and by when: the group's interval after the load."""
    installed.health = "unknown"

    result = set_up(installed)

    assert (result.outcome, result.exit_code) == ("changed", 0)
    shown = proof(result.steps)
    assert shown.reason == (
        "CrmEventsSinkDown is loaded in group crm_events_alerts of /etc/prometheus/prometheus-crm-events-rules.yml as "
        "wanted, not evaluated yet: its first evaluation is due within 30 s, and inv verify asks for it; "
        "its expression answers 0 series now"
    )
    assert [one.saw for one in shown.evidence] == [shown.reason, "0 series now"]
    assert shown.evidence[1].source == f"GET {installed.prometheus.url}/api/v1/query: {EXPRESSION}"


def test_a_rule_that_is_evaluated_already_is_said_to_be(installed: Installation) -> None:
    """And how many series the expression finds now: with one, the alert becomes pending."""
    installed.answer = series("0")

    shown = proof(set_up(installed).steps)

    assert "evaluated with health ok; its expression answers 1 series now" in shown.reason


def with_another(key: str, value: object) -> Callable[[list[Any]], None]:
    def change(groups: list[Any]) -> None:
        for rule in (rule for group in groups for rule in group["rules"]):
            if rule.get("alert") == "CrmEventsSinkDown":
                rule[key] = value

    return change


def in_another_group(groups: list[Any]) -> None:
    mine = next(group for group in groups if group["name"] == "crm_events_alerts")
    groups[0]["rules"].append(mine["rules"].pop())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (with_another("expr", 'up{job="crm-events"} == 0'), "loaded with other expr"),
        (with_another("for", "3m"), "loaded with other for"),
        (with_another("labels", {"severity": "warning"}), "labels.product"),
        (with_another("annotations", {}), "loaded with other annotations"),
        (in_another_group, "loaded in group crm_events_consumer_health, not in crm_events_alerts"),
    ],
    ids=["expression", "for", "labels", "annotations", "group"],
)
def test_a_rule_that_is_loaded_otherwise_is_no_proof(
    installed: Installation, spoil: Callable[[list[Any]], None], said: str
) -> None:
    """Prometheus answered 200 to the reload: what it has loaded decides, and setup undoes itself."""
    before, watcher = contents(installed), Watcher()

    def disturb() -> None:
        del watcher.at_end["reload prometheus"]
        spoil(installed.groups)

    watcher.at_end["reload prometheus"] = disturb
    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed), outcomes(result)[LOADED]) == (6, before, "failed")
    assert result.problem is not None
    assert said in result.problem.seen


def test_an_expression_that_cannot_be_evaluated_is_no_proof(installed: Installation) -> None:
    """It parses and is loaded; the first evaluation, which nobody waits for, would have failed."""
    before, watcher = contents(installed), Watcher()
    error = {"status": "error", "errorType": "execution", "error": "many-to-many matching not allowed"}
    watcher.at_end["reload prometheus"] = lambda: setattr(installed, "answer", Reply(422, error))

    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert result.problem is not None
    assert "its expression cannot be evaluated now" in result.problem.seen
    assert "many-to-many matching not allowed" in result.problem.seen


def test_an_evaluation_that_has_failed_is_no_proof(installed: Installation) -> None:
    before, watcher = contents(installed), Watcher()
    watcher.at_end["reload prometheus"] = lambda: setattr(installed, "health", "err")

    result = set_up(installed, watcher=watcher)

    assert (result.exit_code, contents(installed)) == (6, before)
    assert "its evaluation failed" in result.problem.seen if result.problem else False


def test_a_rule_spelt_in_prometheus_own_way_is_the_wanted_one(installed: Installation) -> None:
    """Its normal form is asked for; where it is another one, the rule is another one."""
    watcher = Watcher()
    spelt = Reply(200, {"status": "success", "data": "0 == up{job='crm-events-sink'}"})
    installed.prometheus.routes["GET /api/v1/format_query"] = spelt
    spoil = with_another("expr", "0 == up{job='crm-events-sink'}")
    watcher.at_end["reload prometheus"] = lambda: spoil(installed.groups)

    assert set_up(installed, watcher=watcher).exit_code == 0


def test_a_second_setup_reloads_what_is_loaded_in_the_wrong_group(installed: Installation) -> None:
    """The file is right, what Prometheus has is not: it is told to read the file again."""
    set_up(installed)
    in_another_group(installed.groups)
    times = installed.reloaded_times

    result = set_up(installed)

    assert (result.outcome, result.exit_code, installed.reloaded_times) == ("changed", 0, times + 1)


def test_a_rollback_puts_the_rule_that_it_brings_back_to_the_query_api(installed: Installation) -> None:
    """Somebody's rule of another group is moved by setup; back in its group it is loaded and answers."""
    text = installed.rules.read_text("utf-8")
    set_up(installed, restart=False)
    moved = installed.rules.read_text("utf-8")
    start = moved.index("      # Alert: CRM Events Sink down")
    end = moved.index("  - name:", start)
    installed.rules.write_text(text.rstrip("\n") + "\n" + moved[start:end].rstrip("\n") + "\n", encoding="utf-8")
    installed.read_rules()
    assert set_up(installed, move_alert=True).exit_code == 0

    result = roll_back(installed)

    assert result.exit_code == 0
    shown = proof(result.steps, "prometheus serves the old state")
    assert "its expression answers 0 series now" in shown.reason
    assert "all rules of the file are loaded" in shown.reason
