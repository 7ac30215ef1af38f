"""The reference rules with our alerts: real promtool loads them, and they fire when they should."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbook.files.desired import wanted_rules
from runbook.files.rules import plan_rules

RULES = Path(__file__).resolve().parents[2] / "monitoring/prometheus-crm-events-rules.yml"
UP = 'up{job="crm-events-sink", instance="sink:9105"}'


@pytest.fixture
def edited_rules(tmp_path: Path) -> Path:
    """The reference rules file with both alerts."""
    plan = plan_rules(RULES.read_bytes(), wanted_rules(with_absent_alert=True), path=Path("rules.yml"))
    path = tmp_path / "rules.yml"
    path.write_bytes(plan.after)
    return path


def answer(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_promtool_accepts_the_edited_rules(promtool: str, edited_rules: Path) -> None:
    """Two rules more than before."""
    checked = answer(promtool, "check", "rules", str(edited_rules))
    assert (checked.returncode, "23 rules found" in checked.stdout) == (0, True), checked.stderr


def firing(alert: str, at: str, *, expected: bool, absent: bool = False) -> dict[str, Any]:
    """One of promtool's assertions: whether our alert fires at a time."""
    rule = next(one.rule for one in wanted_rules(with_absent_alert=True) if one.rule.alert == alert)
    instance = {} if absent else {"instance": "sink:9105"}
    labels = {**rule.labels, "job": "crm-events-sink", **instance}
    found = [{"exp_labels": labels, "exp_annotations": dict(rule.annotations)}] if expected else []
    return {"eval_time": at, "alertname": alert, "exp_alerts": found}


@pytest.mark.parametrize(
    ("values", "assertions"),
    [
        (
            "0x30",  # down from the beginning: pending for two minutes, then firing
            [
                firing("CrmEventsSinkDown", "1m50s", expected=False),
                firing("CrmEventsSinkDown", "2m", expected=True),
                firing("CrmEventsSinkAbsent", "5m", expected=False),
            ],
        ),
        (
            "0x8 1 0x30",  # one good scrape, at 1m30s, begins the two minutes anew
            [
                firing("CrmEventsSinkDown", "3m30s", expected=False),
                firing("CrmEventsSinkDown", "4m", expected=True),
            ],
        ),
        (
            "1x30",  # healthy
            [
                firing("CrmEventsSinkDown", "5m", expected=False),
                firing("CrmEventsSinkAbsent", "5m", expected=False),
            ],
        ),
        (
            "_x60",  # the target has vanished: only the optional alert sees it
            [
                firing("CrmEventsSinkDown", "5m", expected=False),
                firing("CrmEventsSinkAbsent", "5m", expected=True, absent=True),
            ],
        ),
        (
            "0x14 stale _x30",  # down, firing, then gone from discovery: it resolves without a word
            [
                firing("CrmEventsSinkDown", "2m20s", expected=True),
                firing("CrmEventsSinkDown", "2m40s", expected=False),
                firing("CrmEventsSinkAbsent", "5m", expected=True, absent=True),
            ],
        ),
    ],
    ids=["down", "flapping", "healthy", "vanished", "vanished while firing"],
)
def test_alerts_fire_when_they_should(
    promtool: str, edited_rules: Path, values: str, assertions: list[dict[str, Any]]
) -> None:
    """Evaluated by Prometheus's own engine on made-up samples."""
    tests = {
        "rule_files": [str(edited_rules)],
        "evaluation_interval": "10s",
        "tests": [
            {
                "interval": "10s",
                "input_series": [{"series": UP, "values": values}],
                "alert_rule_test": assertions,
            }
        ],
    }
    path = edited_rules.with_name("tests.yml")
    path.write_text(json.dumps(tests))
    tested = answer(promtool, "test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr
