"""The runbook's queries, against a small server that answers as Prometheus's query API does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from runbook.commands.metrics.options import MetricsOptions
from runbook.commands.metrics.result import MetricsResult
from runbook.commands.metrics.steps import QUESTIONS, metrics
from runbook.commands.run_context import RunContext
from runbook.console import document
from runbook.observer import NullObserver
from runbook.settings import Target
from tests.schema import validate

RUNBOOK = (
    "sum by (topic) (rate(crm_events_ingested_total[5m]))",
    "sum by (tenant_id) (increase(crm_events_ingested_total[1h]))",
    "topk(1, sum by (tenant_id) (rate(crm_events_ingested_total[5m])))",
)
SERIES = {
    RUNBOOK[0]: [{"metric": {"topic": "apexflow.leads.created"}, "value": [1762199331.5, "0.0167"]}],
    RUNBOOK[1]: [{"metric": {"tenant_id": "acme"}, "value": [1762199331.5, "NaN"]}],
    "crm_events_ingested_total": [
        {"metric": {"__name__": "crm_events_ingested_total", "tenant_id": "acme"}, "value": [1762199331.5, "5"]}
    ],
}


class Prometheus(BaseHTTPRequestHandler):
    """Answers the queries it knows, and no series to every other one."""

    def do_GET(self) -> None:
        self.answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self.answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def answer(self, form: dict[str, list[str]]) -> None:
        data = {"resultType": "vector", "result": SERIES.get(form["query"][0], [])}
        payload = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def asked(url: str) -> MetricsResult:
    target = Target.from_tables("test", {"prometheus": {"url": url}}, source="test")
    context = RunContext("metrics", screen=NullObserver(), target=target, is_recorded=False)
    found = metrics(context, MetricsOptions())
    validate(document(found))
    return found


def test_the_queries_are_the_runbooks() -> None:
    """Letter by letter, and the raw counter beside them."""
    assert tuple(question.expr for question in QUESTIONS) == (*RUNBOOK, "crm_events_ingested_total")


def test_answers(url: str) -> None:
    """Every query is answered with its series; a metric's own name is not repeated as a label."""
    found = asked(url)

    assert found.answers is not None
    shown: list[list[tuple[dict[str, str], Any]]] = [
        [(series.labels, str(series.value)) for series in answer.series] for answer in found.answers
    ]
    assert shown == [
        [({"topic": "apexflow.leads.created"}, "0.0167")],
        [({"tenant_id": "acme"}, "nan")],
        [],
        [({"tenant_id": "acme"}, "5.0")],
    ]
    assert (found.outcome, found.exit_code) == ("ok", 0)


def test_no_series(url: str) -> None:
    """An empty answer is an answer, with its likely reasons beside it."""
    found = asked(url)

    assert found.answers is not None
    assert "no event" in found.answers[2].note


@pytest.mark.outside
def test_prometheus_is_down() -> None:
    """A refused connection is a named problem; what was not answered is not shown as empty."""
    found = asked("http://127.0.0.1:9")

    assert (found.outcome, found.exit_code, found.answers) == ("failed", 1, ())
    assert found.problem is not None
