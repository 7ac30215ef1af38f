"""The reference installation edited for real, and the parts that cases do not reach."""

import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runbook.errors import DocumentError
from runbook.files.compare import Datasource, datasource_among, differing_fields
from runbook.files.dashboard_edit import Edit, edited
from runbook.files.dashboard_file import dashboard_file
from runbook.files.dashboard_style import style_of
from runbook.files.desired import wanted_panels, wanted_rules
from runbook.files.our_panels import lacking
from runbook.files.panels import plan_panels
from runbook.files.prometheus_text import duration_s
from runbook.files.rules import _says, plan_rule, plan_rules
from runbook.files.text import decoded
from runbook.files.wanted_rule import Rule, differing_rule_fields
from runbook.files.yaml_events import appended, events_of, item_of

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "monitoring/grafana/dashboards/crm_events_pipeline.json"
RULES = ROOT / "monitoring/prometheus-crm-events-rules.yml"
PROMETHEUS = Datasource(uid="u1")


def panels_of(raw: bytes, ids: Iterable[int]) -> tuple[dict[str, Any], ...]:
    """The panels of these ids as a file holds them; those that are missing are left out."""
    by_id = {panel.get("id"): panel for panel in json.loads(raw.decode("utf-8-sig"))["panels"]}
    return tuple(by_id[panel_id] for panel_id in ids if panel_id in by_id)


@pytest.mark.parametrize("verbatim", [False, True])
def test_reference_dashboard_changes_by_one_line_and_two_panels(*, verbatim: bool) -> None:
    """The only line that goes is the row of Active Alerts, 49 to 57."""
    plan = plan_panels(DASHBOARD.read_bytes(), wanted_panels(PROMETHEUS, verbatim=verbatim), path=Path("d.json"))
    removed = [line for line in plan.diff().splitlines()[2:] if line.startswith("-")]
    assert removed == ['-                "y": 49,']
    assert plan.reason == (
        "panel 20 inserted at y=49; panel 21 inserted at y=49; 'Active Alerts' moved from y=49 to y=57"
    )
    assert ["--strip-bom" in plan.notes[0], '"alert-list"' in plan.notes[1]] == [True, True]
    served = panels_of(plan.after, (20, 21, 99))
    assert served == wanted_panels(PROMETHEUS, verbatim=verbatim).panels


def test_reference_rules_gain_lines_and_lose_none() -> None:
    plan = plan_rules(RULES.read_bytes(), wanted_rules(with_absent_alert=True), path=Path("r.yml"))
    assert not [line for line in plan.diff().splitlines()[2:] if line.startswith("-")]
    assert plan.before == RULES.read_bytes()


@pytest.mark.posix("git where these tests run")
@pytest.mark.parametrize(("file", "verbatim"), [("dashboard", False), ("dashboard", True), ("rules", False)])
def test_the_diff_is_a_patch(tmp_path: Path, file: str, *, verbatim: bool) -> None:
    """What a dry run prints can be applied with git, byte order mark included, and gives the planned bytes."""
    if file == "rules":
        plan = plan_rules(RULES.read_bytes(), wanted_rules(), path=Path("file"))
    else:
        wanted = wanted_panels(PROMETHEUS, verbatim=verbatim)
        plan = plan_panels(DASHBOARD.read_bytes(), wanted, path=Path("file"), strip_bom=True)
    (tmp_path / "file").write_bytes(plan.before)
    command = ["git", "apply", "-p0", "--unsafe-paths", f"--directory={tmp_path}", "-"]
    subprocess.run(command, input=plan.diff().encode(), check=True, cwd=tmp_path)
    assert (tmp_path / "file").read_bytes() == plan.after


def test_verbatim_panel_becomes_the_corrected_one_in_place() -> None:
    """Panel 21 as the runbook writes it never shows its columns; applied again, it is put right."""
    verbatim = plan_panels(DASHBOARD.read_bytes(), wanted_panels(PROMETHEUS, verbatim=True), path=Path("d"))
    wanted = wanted_panels(PROMETHEUS)
    corrected = plan_panels(verbatim.after, wanted, path=Path("d"))
    assert corrected.reason == "panel 21 replaced by the wanted form"
    direct = plan_panels(DASHBOARD.read_bytes(), wanted, path=Path("d"))
    assert panels_of(corrected.after, [21]) == panels_of(direct.after, [21])


def test_corrected_table_shows_the_promised_columns() -> None:
    """Table format, instant only, sorted, and a gauge that begins at 0: what the runbook promises in words."""
    table = wanted_panels(PROMETHEUS).panels[1]
    (target,) = table["targets"]
    assert (target["format"], target["instant"], target["range"]) == ("table", True, False)
    assert table["options"]["sortBy"] == [{"displayName": "Events/sec", "desc": True}]
    (override,) = table["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byName", "options": "Events/sec"}
    assert {one["id"]: one["value"] for one in override["properties"]} == {
        "custom.cellOptions": {"type": "gauge", "mode": "gradient"},
        "min": 0,
    }


@pytest.mark.parametrize(
    ("datasource", "reference", "same"),
    [
        (PROMETHEUS, {"type": "prometheus", "uid": "u1"}, True),
        (PROMETHEUS, {"uid": "u1"}, True),
        (PROMETHEUS, {"type": "prometheus"}, True),
        (PROMETHEUS, {"type": "prometheus", "uid": "Prometheus"}, True),
        (PROMETHEUS, {"type": "prometheus", "uid": "other"}, False),
        (PROMETHEUS, {"type": "loki"}, False),
        (PROMETHEUS, "Prometheus", True),
        (PROMETHEUS, "Thanos", False),
        (PROMETHEUS, None, True),
        (Datasource(uid="u1", is_default=False), None, False),
        (Datasource(uid="u1", is_default=False), {"type": "prometheus"}, False),
        (Datasource(), {"type": "prometheus", "uid": "made-up"}, True),
        (Datasource(), {"type": "prometheus", "uid": "${ds}"}, False),
        (Datasource(), {"type": "prometheus", "uid": "-- Mixed --"}, False),
        (Datasource(), "Thanos", False),
    ],
)
def test_references_that_lead_to_the_same_datasource(datasource: Datasource, reference: object, *, same: bool) -> None:
    """Three forms and the bare name are one datasource, if they lead there."""
    assert datasource.is_meant_by(reference) is same


@pytest.mark.parametrize(
    ("variable", "same"),
    [
        ({"current": {"value": "u1"}}, True),
        ({"current": {"value": "Prometheus"}}, True),
        ({"current": {"value": "default"}}, True),
        ({}, True),
        ({"current": {"value": "other"}}, False),
        ({"current": {"value": ["u1", "other"]}}, False),
        ({"query": "loki"}, False),
        ({"type": "query", "current": {"value": "u1"}}, False),
        ({"name": "another"}, False),
    ],
)
def test_a_variable_of_the_dashboard_leads_where_it_stands(variable: dict[str, Any], *, same: bool) -> None:
    """On ours by name or uid, or on the default that is ours; in both spellings."""
    templating = {"list": [{"name": "ds", "type": "datasource", "query": "prometheus", **variable}, 7]}
    datasource = PROMETHEUS.by_variables(templating)
    for reference in ("$ds", {"type": "prometheus", "uid": "${ds}"}):
        assert datasource.is_meant_by(reference) is same
    assert PROMETHEUS.by_variables(None) == PROMETHEUS.by_variables({"list": 1}) == PROMETHEUS


def test_a_datasource_with_the_same_address_is_the_same() -> None:
    """Of the same type, and with an address at all."""
    mine = Listed("u1", "Prometheus")
    others = [Listed("u2", "Thanos", url="http://thanos"), Listed("u3", "Prom"), Listed("u4", "Loki", type="loki")]
    found = datasource_among(mine, [mine, *others])
    assert [found.is_meant_by({"uid": uid}) for uid in ("u1", "u2", "u3", "u4")] == [True, False, True, False]
    assert not datasource_among(replace(mine, url=""), [Listed("u5", "Empty", url="")]).is_meant_by({"uid": "u5"})


@dataclass(frozen=True)
class Listed:
    """A datasource as Grafana lists it."""

    uid: str
    name: str
    type: str = "prometheus"
    url: str = "http://prom"
    is_default: bool = False


def served(number: int, **changed: object) -> list[dict[str, Any]]:
    """Both panels as they are served, one of them changed."""
    panels = [dict(panel) for panel in wanted_panels(PROMETHEUS).panels]
    panels[number - 20] |= changed
    return panels


def test_what_is_lacking_is_what_setup_would_repair() -> None:
    """By the runbook's id, whatever id it has; colours, and the runbook's own letters, lack nothing."""
    wanted = wanted_panels(PROMETHEUS)
    letters = [dict(panel) for panel in wanted_panels(PROMETHEUS, verbatim=True).panels]
    [target] = wanted.panels[1]["targets"]

    assert lacking(served(21, options={"footer": 1}), wanted) == {}
    assert lacking(letters, wanted) == {}
    assert lacking([], wanted) == {}
    assert lacking(served(21, id=77, targets=[{**target, "format": "heatmap"}]), wanted) == {21: ("targets[0].format",)}
    assert lacking(served(20, datasource={"type": "loki"}, title="Mine"), wanted) == {
        20: ("datasource.type", "datasource.uid")
    }
    letters[1]["options"] = {"footer": 1}
    assert lacking(letters, wanted) == {21: ("targets[0].format",)}
    elsewhere = [{**panel, "datasource": "Thanos"} for panel in wanted.forms]
    assert lacking(elsewhere, wanted) == {20: ("datasource",), 21: ("datasource",)}


def test_a_served_panel_with_another_query_lacks_it() -> None:
    """It is known by its id then; whatever its targets are, nothing breaks."""
    wanted = wanted_panels(PROMETHEUS)
    assert lacking(served(20, targets=[{"expr": "up"}]), wanted) == {20: ("targets[0].expr",)}
    odd: list[object] = [None, [], {}, ["a"], [[]]]
    for targets in odd:
        assert lacking(served(21, targets=targets), wanted)[21][0].startswith("targets")


def test_datasource_without_a_uid_is_the_default_of_its_type() -> None:
    assert wanted_panels(Datasource()).panels[0]["datasource"] == {"type": "prometheus"}


def test_served_panel_may_have_more_but_not_other_fields() -> None:
    """Grafana adds defaults; a field that differs is named by its path."""
    wanted = wanted_panels(PROMETHEUS).panels[1]
    served = {**wanted, "pluginVersion": "11.2.0", "gridPos": {"x": 0, "y": 0, "w": 1, "h": 1}}
    assert differing_fields(served, wanted, PROMETHEUS) == ()
    target = {**wanted["targets"][0], "format": "time_series", "instant": 1}
    drifted = {**served, "targets": [target], "transformations": [], "datasource": "Thanos"}
    assert differing_fields(drifted, wanted, PROMETHEUS) == (
        "datasource",
        "targets[0].format",
        "targets[0].instant",
        "transformations",
    )


def test_listed_rule_is_compared_as_meant() -> None:
    """Prometheus lists seconds and its own line breaks."""
    wanted = wanted_rules()[0].rule
    listed = Rule(
        alert=wanted.alert,
        expr='up{job="crm-events-sink"}\n  == 0',
        for_s=120.0,
        labels=wanted.labels,
        annotations=wanted.annotations,
    )
    assert differing_rule_fields(listed, wanted) == ()


@pytest.mark.parametrize(
    ("written", "expected"),
    [("2m", 120), ("1h30m", 5400), ("1m60s", 120), ("0", 0), ("500ms", 0.5), ("soon", None), ("2 m", None)],
)
def test_duration(written: str, expected: float | None) -> None:
    assert duration_s(written) == expected


@pytest.mark.parametrize(
    ("raw", "seen", "line"),
    [
        (b"", "empty", ""),
        (b"\xef\xbb\xbf \n", "empty", ""),
        (b'{"a":\n "\xe9"}', "not UTF-8: byte 0xe9", ":2"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8: byte 0xff", ":1"),
    ],
)
def test_bytes_that_are_no_text(raw: bytes, seen: str, line: str) -> None:
    """Both editors refuse them alike, and name the line."""
    plans: tuple[Callable[[], object], ...] = (
        lambda: plan_panels(raw, wanted_panels(PROMETHEUS), path=Path("file")),
        lambda: plan_rule(raw, wanted_rules()[0], path=Path("file")),
    )
    for plan in plans:
        with pytest.raises(DocumentError, match=seen) as refused:
            plan()
        assert refused.value.where == f"file{line}"


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"panels":' * 50_000, b"[" * 5000 + b"]" * 5000])
def test_nesting_bomb_is_refused(raw: bytes) -> None:
    """Nesting beyond Python's stack is an error of the file, not of this program."""
    with pytest.raises(DocumentError, match="nested too deeply"):
        plan_panels(raw, wanted_panels(PROMETHEUS), path=Path("file"))
    with pytest.raises(DocumentError, match="nested too deeply"):
        plan_rule(raw, wanted_rules()[0], path=Path("file"))


def test_alias_bomb_costs_nothing() -> None:
    """Aliases that would multiply to billions of values are compared as they are written."""
    bomb = "".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    raw = b"x0: &a0 [lol]\n" + bomb.encode() + RULES.read_bytes()
    assert not plan_rule(raw, wanted_rules()[0], path=Path("file")).is_empty


def test_merge_keys_that_multiply_cost_nothing() -> None:
    """Each mapping is resolved once, one that merges itself too; the alert is compared all the same."""
    bomb = "".join(f"x{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: v}}\n" for n in range(1, 30))
    raw = b"x0: &a0 {team: crm}\nxx: &a30 {<<: *a30}\n" + bomb.encode() + RULES.read_bytes()
    raw = raw.replace(b"severity: critical", b"<<: *a29\n          severity: critical", 1)
    assert not plan_rule(raw, wanted_rules()[0], path=Path("file")).is_empty


def test_control_character_in_rules_is_refused_with_its_line() -> None:
    with pytest.raises(DocumentError, match="#x0007") as refused:
        plan_rule(b"groups:\n  - \x07\n", wanted_rules()[0], path=Path("file"))
    assert refused.value.where == "file:2"


def test_carriage_returns_alone_are_refused() -> None:
    """They end lines for YAML; nothing can be put below such a line that every reader takes for the same."""
    with pytest.raises(DocumentError, match="carriage return alone") as refused:
        plan_rule(b"groups:\n- name: crm_events_alerts\r  rules: []\n", wanted_rules()[0], path=Path("file"))
    assert refused.value.where == "file:2"


@pytest.mark.parametrize("between", ["", ", {},", ',"id",'])
def test_a_splice_that_says_something_else_is_refused(between: str) -> None:
    """Negative control of the last guard: were the splicing wrong, the result would never be written."""
    dashboard = dashboard_file(decoded(DASHBOARD.read_bytes(), path=Path("file")))
    edit = Edit(after=17, inserted=({"id": 20},), replaced={}, moved={})
    style = style_of(dashboard, dashboard.panels[17])
    assert '"id": 20\n' in edited(dashboard, edit, style)
    with pytest.raises(DocumentError, match="cannot be edited exactly"):
        edited(dashboard, edit, replace(style, between=between))


@pytest.mark.parametrize("after", ["a: [", "a: [1, 2]", "a: [1]", "a: [2]", "b: [1, 2]"])
def test_only_the_added_item_may_be_new(after: str) -> None:
    """Negative control of the guard for rules: broken YAML, or anything but one item more at the end."""
    intended = appended(events_of("a: [1]"), 3, item_of("[2]"))
    assert _says(after, intended) is (after == "a: [1, 2]")


def test_a_plan_is_frozen() -> None:
    """What a dry run has shown is what apply executes."""
    plan = plan_rules(RULES.read_bytes(), wanted_rules(), path=Path("r.yml"))
    with pytest.raises(FrozenInstanceError):
        plan.after = b""  # type: ignore[misc]
