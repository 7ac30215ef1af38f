"""Panels 20 and 21 as Grafana's own frontend code shows them: 11.2.0, which runs in the field, and the newest.

The answers in frames/ are the stand-in's, of queries to a real Prometheus. What is not run here: the table component,
which draws the frames, and shows the first one where there are several.
"""

import copy
from pathlib import Path
from typing import Any

import pytest

from runbook.files.desired import wanted_panels
from runbook.files.panels import plan_panels
from tests.conformance.frontend import INSTALL_S, VERSIONS, Frontend
from tests.conformance.monitoring_parts import (
    RATES,
    TOPICS,
    panel_answers,
    recording,
    running_monitoring,
    written_panels,
)
from tests.files.somebodys_panels import DATASOURCE, ours, somebodys_dashboard, table_columns

pytestmark = [
    pytest.mark.timeout(len(VERSIONS) * INSTALL_S + 60),  # the first test of a machine installs the packages
    pytest.mark.xdist_group("conformance"),
]

COLUMNS = ("Tenant ID", "Events/sec")
MOST = 10  # topk(10, ...)


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    """Panel 21 as setup writes it."""
    return written_panels()[21]


@pytest.fixture(scope="module")
def runbooks_table() -> dict[str, Any]:
    """Panel 21 letter by letter as the runbook has it."""
    return written_panels(verbatim=True)[21]


@pytest.fixture(scope="module")
def answers_of_now(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What Grafana answers while Prometheus scrapes twelve tenants."""
    with running_monitoring(prometheus, RATES, tmp_path_factory.mktemp("monitoring")) as parts:
        return panel_answers(parts)


@pytest.mark.parametrize("tenants", [1, 10, 12])
def test_the_table_shows_tenants_and_rates_and_the_busiest_first(
    frontend: Frontend, table: dict[str, Any], tenants: int
) -> None:
    """One table, exactly two columns, at most ten rows, by events per second."""
    [shown] = frontend.shown(table, recording(tenants)["panel_21"])

    assert shown.columns == COLUMNS
    assert [tenant for tenant, _ in shown.rows] == busiest(tenants)
    assert all(rate > 0 for _, rate in shown.rows)


@pytest.mark.parametrize("tenants", [1, 10, 12])
def test_the_runbooks_own_table_does_not(frontend: Frontend, runbooks_table: dict[str, Any], tenants: int) -> None:
    """The control: one frame per tenant, each with one column of that tenant's name, so no rename applies."""
    shown = frontend.shown(runbooks_table, recording(tenants)["panel_21_verbatim"])

    assert [frame.columns for frame in shown] == [(tenant,) for tenant in busiest(tenants)]
    assert [len(frame.rows) for frame in shown] == [1] * len(shown)


@pytest.mark.parametrize("verbatim", [False, True])
def test_names_from_grafanas_backend_change_nothing(frontend: Frontend, *, verbatim: bool) -> None:
    """Neither ours nor the control depends on what the backend makes of legendFormat."""
    panel, answer = (
        written_panels(verbatim=verbatim)[21],
        recording(10)["panel_21_verbatim" if verbatim else "panel_21"],
    )
    assert frontend.shown(panel, without_names(answer)) == frontend.shown(panel, answer)


def test_no_tenant_is_no_column_and_no_error(frontend: Frontend, table: dict[str, Any]) -> None:
    """Before the first event, and five minutes after the last: Grafana shows "No data"."""
    assert frontend.shown(table, recording(0)["panel_21"]) == ()


def test_the_busiest_is_first_whatever_the_order_of_the_answer(frontend: Frontend, table: dict[str, Any]) -> None:
    answer = reversed_answer(recording(10)["panel_21"])
    [shown] = frontend.shown(table, answer)
    assert [tenant for tenant, _ in shown.rows] == busiest(10)


def test_without_sort_by_the_order_is_the_answers(frontend: Frontend, table: dict[str, Any]) -> None:
    """A broken variant: it shows that the order above is sortBy's work, and by a header that exists."""
    answer = reversed_answer(recording(10)["panel_21"])
    for sort_by in ([], [{"displayName": "Value", "desc": True}]):
        [shown] = frontend.shown({**table, "options": {"sortBy": sort_by}}, answer)
        assert [tenant for tenant, _ in shown.rows] == busiest(10)[::-1]


def test_without_table_format_the_columns_are_wrong(frontend: Frontend, table: dict[str, Any]) -> None:
    """A broken variant: `format` is what the runbook's panel lacks; `range` and sortBy make no column."""
    [target] = table["targets"]
    broken = {**table, "targets": [{name: value for name, value in target.items() if name != "format"}]}

    shown = frontend.shown(broken, recording(10)["panel_21"])

    assert len(shown) == 10
    assert COLUMNS not in {frame.columns for frame in shown}


def test_without_the_transformation_the_columns_are_wrong(frontend: Frontend, table: dict[str, Any]) -> None:
    """A broken variant: the pivot alone leaves Prometheus's names and the time."""
    [shown] = frontend.shown({**table, "transformations": []}, recording(10)["panel_21"])
    assert shown.columns == ("Time", "tenant_id", "Value")


def test_the_gauge_is_for_the_rate_and_nothing_else(frontend: Frontend, table: dict[str, Any]) -> None:
    """The override's matcher finds the column under its new name."""
    [shown] = frontend.shown(table, recording(10)["panel_21"])
    assert shown.overridden == (("Events/sec",),)


def test_feature_toggles_change_nothing(frontend: Frontend, table: dict[str, Any]) -> None:
    """Those that this code asks for in 11.2.0, all on; without mention they are off."""
    toggles = {"prometheusDataplane": True, "dataplaneFrontendFallback": True, "transformationsVariableSupport": True}
    answer = recording(10)["panel_21"]
    assert frontend.shown(table, answer, toggles=toggles) == frontend.shown(table, answer)


@pytest.mark.parametrize("seeds", [range(start, 60, 6) for start in range(6)], ids=str)
def test_somebodys_tables_have_their_columns_once_they_are_repaired(frontend: Frontend, seeds: range) -> None:
    """Renamed, hidden, disabled, organized twice, without a format: setup's list of fields, by Grafana's own code.

    Before the repair, the judge of those tests (tests/files) must say the same as Grafana does.
    """
    answer, promised = recording(10)["panel_21"], set(COLUMNS)
    for seed in seeds:
        found = somebodys_dashboard(seed)
        before, after = found.panels[21], repaired_panel(found.raw)
        if any(one["id"] != "organize" for one in after["transformations"]):  # the others are not registered here
            continue
        [shown] = frontend.shown(after, answer)
        assert promised <= set(shown.columns), seed
        assert len(shown.rows) == MOST
        if before["targets"][0].get("format") == "table":
            [shown] = frontend.shown(before, answer)
            assert (promised <= set(shown.columns)) is (promised <= table_columns(before).keys()), seed


def repaired_panel(raw: bytes) -> dict[str, Any]:
    """Return panel 21 of a file as setup leaves it."""
    return ours(plan_panels(raw, wanted_panels(DATASOURCE), path=Path("d.json")).after)[21]


@pytest.mark.parametrize("verbatim", [False, True])
def test_the_graphs_legend_is_the_topics(frontend: Frontend, *, verbatim: bool) -> None:
    """Panel 20, ours and the runbook's: a line per topic, named by it alone."""
    panel = written_panels(verbatim=verbatim)[20]
    shown = frontend.shown(panel, recording(10)["panel_20"])
    assert [frame.columns for frame in shown] == [("Time", topic) for topic in TOPICS]


def test_from_prometheus_to_the_panels(frontend: Frontend, answers_of_now: dict[str, dict[str, Any]]) -> None:
    """The same with answers of now: a Prometheus that scrapes, and Grafana's API in front of it."""
    ours, runbooks = written_panels(), written_panels(verbatim=True)

    [shown] = frontend.shown(ours[21], answers_of_now["panel_21"])
    control = frontend.shown(runbooks[21], answers_of_now["panel_21_verbatim"])
    graph = frontend.shown(ours[20], answers_of_now["panel_20"])

    assert shown.columns == COLUMNS
    assert [tenant for tenant, _ in shown.rows] == busiest(len(RATES))
    assert {frame.columns for frame in control} == {(tenant,) for tenant in busiest(len(RATES))}
    assert {frame.columns for frame in graph} == {("Time", topic) for topic in TOPICS}


def busiest(tenants: int) -> list[str]:
    """Return the rows' tenants when the first so many of RATES are there."""
    return sorted(list(RATES)[:tenants], key=RATES.__getitem__, reverse=True)[:MOST]


def reversed_answer(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with its series the other way round: Prometheus sends the busiest first."""
    changed = copy.deepcopy(answer)
    changed["results"]["A"]["frames"].reverse()
    return changed


def without_names(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as of a backend that sets no display name."""
    changed = copy.deepcopy(answer)
    for frame in changed["results"]["A"]["frames"]:
        for field in frame["schema"]["fields"]:
            field.get("config", {}).pop("displayNameFromDS", None)
    return changed
