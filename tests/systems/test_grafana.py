"""Grafana's HTTP API as version 11 answers it."""

import traceback
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.grafana.client import Datasource, DatasourceHealth, Frame, Grafana, GrafanaHealth
from runbook.systems.grafana.settings import GrafanaSettings
from tests.systems.loopback_servers import Reply, ScriptedServer

PASSWORD = "pä55-word"  # noqa: S105 - a test's own
START, END = datetime(2025, 11, 3, 19, 0, tzinfo=UTC), datetime(2025, 11, 3, 20, 0, tzinfo=UTC)
PANELS = [{"id": 20, "type": "timeseries", "title": "CRM Events Ingested (by topic)"}]


@pytest.fixture
def grafana(server: ScriptedServer) -> Grafana:
    return Grafana(GrafanaSettings(url=server.url, password=PASSWORD), timeout_s=5)


def query(grafana: Grafana, *targets: dict[str, object]) -> tuple[Frame, ...]:
    return grafana.query(targets or [{"refId": "A", "expr": "up"}], datasource_uid="abc", start=START, end=END)


def test_health_is_an_answer_whatever_its_database_says(grafana: Grafana, server: ScriptedServer) -> None:
    server.routes["GET /api/health"] = Reply(200, {"commit": "x", "database": "ok", "version": "11.2.0"})
    assert grafana.health() == GrafanaHealth(ok=True, version="11.2.0", status=200)

    server.routes["GET /api/health"] = Reply(503, {"database": "failing", "version": "11.2.0"})
    assert grafana.health() == GrafanaHealth(ok=False, version="11.2.0", status=503)

    server.routes["GET /api/health"] = Reply(502, b"Bad Gateway")
    with pytest.raises(AnswerError, match="502: Bad Gateway"):
        grafana.health()


def test_served_dashboard_names_the_file_it_came_from(grafana: Grafana, server: ScriptedServer) -> None:
    meta = {"url": "/d/crm/crm-events", "provisioned": True, "provisionedExternalId": "crm_events_pipeline.json"}
    templating = {"list": [{"name": "ds", "type": "datasource"}]}
    board = {"uid": "crm", "title": "CRM", "version": 3, "panels": PANELS, "id": 1, "templating": templating}
    server.routes["GET /api/dashboards/uid/crm"] = Reply(200, {"meta": meta, "dashboard": board})

    found = grafana.dashboard("crm")

    assert found is not None
    assert (found.uid, found.title, found.version, list(found.panels)) == ("crm", "CRM", 3, PANELS)
    assert found.templating == templating
    assert (found.provisioned_file, found.url) == ("crm_events_pipeline.json", "/d/crm/crm-events")
    login = b64encode(f"admin:{PASSWORD}".encode()).decode()
    assert server.seen[0].headers["Authorization"] == f"Basic {login}"
    grafana.close()


def test_unknown_dashboard_is_none_but_an_unknown_page_is_an_error(grafana: Grafana, server: ScriptedServer) -> None:
    """Grafana's own 404 is JSON; a proxy's is not, and must not look like a missing dashboard."""
    server.routes["GET /api/dashboards/uid/x"] = Reply(404, {"message": "Dashboard not found"})
    assert grafana.dashboard("x") is None

    server.routes["GET /api/dashboards/uid/x"] = Reply(404, b"404 page not found")
    with pytest.raises(AnswerError, match="404 page not found"):
        grafana.dashboard("x")


@pytest.mark.parametrize(
    ("status", "code", "setting"), [(401, "unauthorized", "PASSWORD"), (403, "forbidden", "USERNAME")]
)
def test_wrong_password_has_its_code_and_never_shows(
    grafana: Grafana, server: ScriptedServer, status: int, code: str, setting: str
) -> None:
    echo = lambda seen: Reply(status, {"message": str(seen.headers), "password": PASSWORD})  # noqa: E731 - an answer
    server.routes |= {
        "GET /api/dashboards/uid/x": echo,
        "GET /api/datasources": echo,
        "GET /api/datasources/uid/x/health": echo,
        "POST /api/ds/query": echo,
    }
    asks = (
        lambda: grafana.dashboard("x"),
        grafana.datasources,
        lambda: grafana.datasource_health("x"),
        lambda: query(grafana),
    )

    for ask in asks:
        with pytest.raises(AnswerError, match=f"RUNBOOK_GRAFANA_{setting}") as caught:
            ask()
        assert (caught.value.code, caught.value.status) == (code, status)
        shown = "".join(traceback.format_exception(caught.value)) + caught.value.body
        assert PASSWORD not in shown
        assert b64encode(f"admin:{PASSWORD}".encode()).decode() not in shown


def test_unreachable_grafana(refused_url: str) -> None:
    with pytest.raises(UnreachableError, match="RUNBOOK_GRAFANA_URL") as caught:
        Grafana(GrafanaSettings(url=refused_url, password=PASSWORD)).health()

    assert caught.value.reason == "refused"
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_datasources_are_listed(grafana: Grafana, server: ScriptedServer) -> None:
    one = {"id": 1, "uid": "abc", "name": "Prometheus", "type": "prometheus", "url": "http://prom:9090"}
    server.routes["GET /api/datasources"] = Reply(200, [one | {"isDefault": True}])

    expected = Datasource(uid="abc", name="Prometheus", type="prometheus", url="http://prom:9090", is_default=True)
    assert grafana.datasources() == (expected,)


@pytest.mark.parametrize("status", [400, 500])
def test_datasource_health_is_an_answer(grafana: Grafana, server: ScriptedServer, status: int) -> None:
    path = "GET /api/datasources/uid/abc/health"
    server.routes[path] = Reply(200, {"status": "OK", "message": "Successfully queried the Prometheus API."})
    assert grafana.datasource_health("abc").ok

    server.routes[path] = Reply(status, {"status": "ERROR", "message": "connection refused"})
    assert grafana.datasource_health("abc") == DatasourceHealth(ok=False, message="connection refused")


def test_health_of_an_unknown_datasource_is_an_error(grafana: Grafana) -> None:
    with pytest.raises(AnswerError, match="no such datasource") as caught:
        grafana.datasource_health("nope")

    assert caught.value.code == "not_found"


def test_query_asks_as_a_panel_does_and_returns_columns_of_numbers(grafana: Grafana, server: ScriptedServer) -> None:
    fields = [
        {"name": "Time", "type": "time", "config": {"interval": 10500}},
        {"name": "Value", "type": "number", "labels": {"topic": "t"}, "config": {"displayNameFromDS": "shown"}},
        {"name": "word", "type": "string"},
    ]
    frame = {
        "schema": {"refId": "A", "fields": fields},
        "data": {"values": [[1762196400000, 1762196410500], [0.5, None], ["a", "b"]]},
    }
    table = {"schema": {"name": "n", "fields": [{"name": "v", "type": "number"}]}, "data": {"values": [[7]]}}
    results = {"A": {"status": 200, "frames": [frame]}, "B": {"frames": [table]}, "C": {"frames": None}}
    server.routes["POST /api/ds/query"] = Reply(200, {"results": results})

    found = query(grafana, {"refId": "A", "expr": "up", "datasource": "Prometheus"}, {"refId": "B", "intervalMs": 5})

    first = Frame(
        ref_id="A",
        name="shown",
        labels={"topic": "t"},
        times=(START, datetime(2025, 11, 3, 19, 0, 10, 500_000, tzinfo=UTC)),
        values=(0.5, None),
        step=timedelta(seconds=10.5),
    )
    assert found == (first, Frame(ref_id="B", name="n", labels={}, times=(), values=(7.0,)))
    sent = server.seen[0].json
    assert (sent["from"], sent["to"]) == ("1762196400000", "1762200000000")
    assert {one["datasource"]["uid"] for one in sent["queries"]} == {"abc"}
    assert [one["intervalMs"] for one in sent["queries"]] == [1000, 5]


@pytest.mark.parametrize("status", [200, 207, 400, 500])
def test_failed_target_is_an_error_whatever_the_status(grafana: Grafana, server: ScriptedServer, status: int) -> None:
    """An error inside the results must never look like a panel without data."""
    results = {"A": {"frames": []}, "B": {"error": "parse error", "status": 400, "frames": []}}
    server.routes["POST /api/ds/query"] = Reply(status, {"results": results})

    with pytest.raises(AnswerError, match="The query B failed: parse error") as caught:
        query(grafana)

    assert caught.value.code == "query_failed"


def test_refused_query_quotes_grafana(grafana: Grafana, server: ScriptedServer) -> None:
    server.routes["POST /api/ds/query"] = Reply(404, {"message": "Data source not found"})
    with pytest.raises(AnswerError, match="404: Data source not found"):
        query(grafana)

    server.routes["POST /api/ds/query"] = Reply(200, b"<title>Proxy</title>", "text/html")
    with pytest.raises(AnswerError, match="HTML page: Proxy"):
        query(grafana)


@pytest.mark.parametrize(
    ("ask", "needed", "instead"),
    [
        ("GET /api/datasources", "datasources:read", ", or set RUNBOOK_GRAFANA_DATASOURCE_UID"),
        ("GET /api/dashboards/uid/x", "dashboards:read", ""),
    ],
)
def test_missing_permission_is_named_as_grafana_names_it(
    grafana: Grafana, server: ScriptedServer, ask: str, needed: str, instead: str
) -> None:
    text = f"You'll need additional permissions to perform this action. Permissions needed: {needed}"
    server.routes[ask] = Reply(403, {"accessErrorId": "ACE1", "message": text, "title": "Access denied"})

    with pytest.raises(AnswerError) as caught:
        grafana.datasources() if needed == "datasources:read" else grafana.dashboard("x")

    assert caught.value.seen == f"Grafana does not allow this to admin: 403, it takes {needed}"
    assert caught.value.fix == (
        f"give admin the permission {needed}, or set RUNBOOK_GRAFANA_USERNAME to a user who has it{instead}"
    )
