"""The sink's metrics page and health, from a server that answers as old and new sinks do."""

from collections.abc import Callable
from typing import Any

import pytest

from runbook.errors import AnswerError, UnreachableError
from runbook.systems.sink.client import Sink, SinkHealth, SinkPage
from runbook.systems.sink.settings import SinkSettings
from tests.systems.loopback_servers import Reply, ScriptedServer

TODAY = """\
# HELP crm_events_ingested_total Total CRM events
# TYPE crm_events_ingested_total counter
crm_events_ingested_total{tenant_id="acme",topic="apexflow.leads.created"} 5.0
crm_events_ingested_total{topic="apexflow.jobs.created",tenant_id="a \\"b\\" \\\\ c"} 2e+06
# TYPE crm_events_ingested_created gauge
crm_events_ingested_created{tenant_id="acme",topic="apexflow.leads.created"} 1.7621e+09
python_info{version="3.11"} 1
"""
NEW = """\
# TYPE crm_events_rejected_total counter
crm_events_rejected_total{topic="apexflow.leads.created",reason="not json"} 1.0
# TYPE crm_events_next_offset gauge
crm_events_next_offset{topic="apexflow.leads.created",partition="0"} 9.007199254740991e+15
crm_events_next_offset{topic="apexflow.leads.created",partition="11"} 0
"""


@pytest.fixture
def page(server: ScriptedServer) -> Callable[..., SinkPage]:
    """Serve a metrics page and return what the client reads of it."""

    def read(text: str, **reply: Any) -> SinkPage:  # noqa: ANN401 - the fields of Reply
        server.routes["GET /metrics"] = Reply(body=text.encode(), **reply)
        return Sink(SinkSettings(metrics_url=f"{server.url}/metrics", http_url=server.url)).page()

    return read


def test_page_of_the_sink_that_runs_today_has_counters_only(
    page: Callable[..., SinkPage], server: ScriptedServer
) -> None:
    """Older sinks tell no positions: that is empty, not an error."""
    found = page(TODAY)

    assert found.counters == {
        ("acme", "apexflow.leads.created"): 5.0,
        ('a "b" \\ c', "apexflow.jobs.created"): 2_000_000.0,
    }
    assert (found.rejected, found.next_offsets, found.has_counter) == ({}, {}, True)
    assert found.size_bytes == len(TODAY)
    assert server.seen[0].headers["Accept"] == "text/plain"


def test_page_with_positions_and_rejected_events(page: Callable[..., SinkPage]) -> None:
    found = page(TODAY + NEW)

    assert found.rejected == {("apexflow.leads.created", "not json"): 1.0}
    assert found.next_offsets == {("apexflow.leads.created", 0): 2**53 - 1, ("apexflow.leads.created", 11): 0}


def test_counter_without_series_is_absent(page: Callable[..., SinkPage]) -> None:
    """Before the first event the page has the counter's type, but no series."""
    found = page("# TYPE crm_events_ingested_total counter\nup 1\n")

    assert (found.counters, found.has_counter) == ({}, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html><title>Login</title></html>", "not in Prometheus's text format: HTML page: Login"),
        ('crm_events_ingested_total{topic="t"} 1\n', "no label 'tenant_id'"),
        ('crm_events_ingested_total{topic="t",tenant_id="a"} many\n', "not in Prometheus's text format"),
        ('crm_events_next_offset{topic="t",partition="x"} 1\n', "not in Prometheus's text format"),
        ('crm_events_next_offset{topic="t",partition="0"} NaN\n', "not in Prometheus's text format"),
    ],
)
def test_page_that_cannot_be_read_is_an_error_not_a_zero(page: Callable[..., SinkPage], text: str, said: str) -> None:
    with pytest.raises(AnswerError, match=said):
        page(text)


def test_page_that_is_not_there_is_an_error(page: Callable[..., SinkPage]) -> None:
    with pytest.raises(AnswerError, match="answered 404: nothing") as caught:
        page("nothing", status=404)

    assert caught.value.status == 404


def test_closed_port_is_refused_and_the_fix_names_the_setting(refused_url: str) -> None:
    sink = Sink(SinkSettings(metrics_url=f"{refused_url}/metrics", http_url=refused_url))

    with pytest.raises(UnreachableError, match="RUNBOOK_SINK_METRICS_URL") as caught:
        sink.page()
    with pytest.raises(UnreachableError, match="RUNBOOK_SINK_HTTP_URL"):
        sink.health()
    assert caught.value.reason == "refused"


def test_health_is_an_answer_whatever_its_status(server: ScriptedServer) -> None:
    with_close = Sink(SinkSettings(metrics_url=f"{server.url}/metrics", http_url=server.url))
    server.routes["GET /health"] = Reply(200, {"status": "healthy", "service": "crm-events-sink"})
    assert with_close.health() == SinkHealth(status_code=200, status="healthy")

    server.routes["GET /health"] = Reply(503, {"status": "stalled"})
    assert with_close.health() == SinkHealth(status_code=503, status="stalled")

    server.routes["GET /health"] = Reply(404, b"404 page not found")
    with pytest.raises(AnswerError, match="404 page not found"):
        with_close.health()
    with_close.close()
