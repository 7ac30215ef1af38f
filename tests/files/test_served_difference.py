"""What is served against one of two versions of a file: right exactly where the versions differ."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook.errors import DocumentError
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels, wanted_rules
from runbook.files.file_change import FileChange
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from runbook.files.rules_file import rules_file
from runbook.files.served_difference import (
    GroupedRule,
    loaded_rules_difference,
    served_panels_difference,
    touched_rules,
)
from runbook.files.text import decoded

REFERENCE = Path(__file__).resolve().parents[2] / "monitoring"
OLD = (REFERENCE / "grafana/dashboards/crm_events_pipeline.json").read_bytes()
NEW = plan_panels(OLD, wanted_panels(Datasource(uid="u")), path=Path("d.json")).after
OLD_RULES = (REFERENCE / "prometheus-crm-events-rules.yml").read_bytes()
NEW_RULES = plan_rules(OLD_RULES, wanted_rules(with_absent_alert=False), path=Path("r.yml")).after


def panels(raw: bytes) -> list[dict[str, Any]]:
    """As Grafana serves them: with defaults added."""
    return [{**panel, "pluginVersion": "11.2.0"} for panel in json.loads(raw.decode("utf-8-sig"))["panels"]]


def served(now: list[dict[str, Any]], *, wanted: bytes, other: bytes) -> str:
    return served_panels_difference(now, FileChange(path=Path("d.json"), before=other, after=wanted))


def alerts(raw: bytes) -> list[GroupedRule]:
    found = rules_file(decoded(raw, path=Path("r.yml"))).rules()
    return [GroupedRule(group=one.group, rule=replace(one.rule, alert=one.name)) for one in found]


def loaded(now: list[GroupedRule], *, wanted: bytes, other: bytes) -> str:
    return loaded_rules_difference(now, FileChange(path=Path("r.yml"), before=other, after=wanted))


def test_each_version_is_served_as_itself_and_not_as_the_other() -> None:
    assert served(panels(OLD), wanted=OLD, other=NEW) == ""
    assert served(panels(NEW), wanted=NEW, other=OLD) == ""
    assert served(panels(NEW), wanted=OLD, other=NEW) == "panel 20 is still served"
    assert served(panels(OLD), wanted=NEW, other=OLD) == "panel 20 is not served"


def test_a_moved_panel_must_be_back_in_its_row() -> None:
    now = panels(OLD)
    next(panel for panel in now if panel["id"] == 12)["gridPos"]["y"] = 57
    assert served(now, wanted=OLD, other=NEW) == "panel 12 is served with another gridPos.y"


def test_what_the_change_did_not_touch_may_differ() -> None:
    """Grafana migrates and normalises; that says nothing about the change."""
    now = panels(OLD)
    now[0] |= {"type": "migrated", "datasource": {"type": "prometheus", "uid": "u"}}
    assert served(now, wanted=OLD, other=NEW) == ""


def test_a_bare_datasource_name_may_be_served_as_a_reference() -> None:
    verbatim = plan_panels(OLD, wanted_panels(Datasource(uid="u"), verbatim=True), path=Path("d.json")).after
    now = panels(verbatim)
    for panel in now:
        if panel.get("datasource") == "Prometheus":
            panel["datasource"] = {"type": "prometheus", "uid": "u"}
    assert served(now, wanted=verbatim, other=NEW) == ""
    assert served(panels(NEW), wanted=verbatim, other=NEW) != ""


def test_each_version_of_the_rules_is_loaded_as_itself_and_not_as_the_other() -> None:
    assert loaded(alerts(OLD_RULES), wanted=OLD_RULES, other=NEW_RULES) == ""
    assert loaded(alerts(NEW_RULES), wanted=NEW_RULES, other=OLD_RULES) == ""
    assert (
        loaded(alerts(NEW_RULES), wanted=OLD_RULES, other=NEW_RULES)
        == "CrmEventsSinkDown in group crm_events_alerts is still loaded"
    )
    assert (
        loaded(alerts(OLD_RULES), wanted=NEW_RULES, other=OLD_RULES)
        == "CrmEventsSinkDown in group crm_events_alerts is not loaded"
    )


@pytest.mark.parametrize("change", [(b"for: 2m", b"for: 3m"), (b"team: crm\n", b"team: ops\n"), (b"== 0\n", b"== 1\n")])
def test_one_changed_field_of_an_alert_is_seen(change: tuple[bytes, bytes]) -> None:
    at = NEW_RULES.index(b"- alert: CrmEventsSinkDown")
    other = NEW_RULES[:at] + NEW_RULES[at:].replace(*change, 1)
    assert other != NEW_RULES
    assert loaded(alerts(NEW_RULES), wanted=NEW_RULES, other=other) == ""
    assert loaded(alerts(other), wanted=NEW_RULES, other=other) != ""


def test_a_service_that_serves_nothing_is_no_proof() -> None:
    """An undo mostly takes away: what is empty has lost more than that."""
    assert served([], wanted=OLD, other=NEW) == "panel 1 is not served"
    assert served(panels(OLD)[-1:], wanted=OLD, other=NEW) == "panel 1 is not served"
    assert "is not loaded" in loaded([], wanted=OLD_RULES, other=NEW_RULES)
    assert "is not loaded" in loaded(alerts(OLD_RULES)[1:], wanted=OLD_RULES, other=NEW_RULES), "a recording rule"


def test_an_expression_that_prometheus_writes_its_own_way() -> None:
    """A rule that must be gone is known by its name; one whose expression alone was changed, by what it is not."""
    spelt = NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b"expr: up{job='crm-events-sink'}==0")
    assert spelt != NEW_RULES
    assert "is still loaded" in loaded(alerts(NEW_RULES), wanted=OLD_RULES, other=spelt)
    other = NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b'expr: up{job="crm-events-sink"}==1')
    served_as_other = alerts(other.replace(b"}==1", b"} == 1"))
    assert "is loaded, with other content" in loaded(served_as_other, wanted=NEW_RULES, other=other)
    assert loaded(alerts(NEW_RULES), wanted=NEW_RULES, other=other) == ""


def test_an_expression_is_compared_in_its_normal_form_where_prometheus_gives_it() -> None:
    """A third expression, neither the wanted one nor that of the other version, is wrong: only the form tells."""
    spelt = NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b"expr: up{job='crm-events-sink'}==0")
    other = NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b'expr: up{job="crm-events-sink"} == 1')
    third = alerts(NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b'expr: up{job="other"} == 0'))
    change = FileChange(path=Path("r.yml"), before=other, after=spelt)

    def form(expr: str) -> str:
        return expr.replace("'", '"').replace("==0", " == 0")

    assert loaded_rules_difference(alerts(NEW_RULES), change, form) == ""
    assert "is loaded, with other content" in loaded_rules_difference(third, change, form)
    assert loaded_rules_difference(third, change) == "", "without the form it cannot be told"


def test_what_a_change_touches_is_known_by_group_and_name() -> None:
    """Only that is put to the query API again."""
    name = "CrmEventsSinkDown in group crm_events_alerts"
    other = NEW_RULES.replace(b'expr: up{job="crm-events-sink"} == 0', b"expr: up == 0")
    assert touched_rules(FileChange(path=Path("r.yml"), before=OLD_RULES, after=NEW_RULES)) == {name}
    assert touched_rules(FileChange(path=Path("r.yml"), before=NEW_RULES, after=OLD_RULES)) == frozenset()
    assert touched_rules(FileChange(path=Path("r.yml"), before=other, after=NEW_RULES)) == {name}


def test_another_version_that_cannot_be_read_proves_nothing_by_itself() -> None:
    """Then everything must be as wanted."""
    assert served(panels(OLD), wanted=OLD, other=b"{") == ""
    assert served(panels(OLD)[1:], wanted=OLD, other=b"{") == "panel 1 is not served"
    assert loaded(alerts(OLD_RULES), wanted=OLD_RULES, other=b"groups: [") == ""
    assert loaded(alerts(OLD_RULES)[1:], wanted=OLD_RULES, other=b"groups: [") != ""
    with pytest.raises(DocumentError):
        served(panels(OLD), wanted=b"{", other=OLD)
