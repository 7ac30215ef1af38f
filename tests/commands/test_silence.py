"""Silences, against a small server that keeps them as Alertmanager's API v2 does."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runbook.commands.run_context import RunContext
from runbook.commands.silence.options import SilenceOptions, UnsilenceOptions
from runbook.commands.silence.result import SilenceResult
from runbook.commands.silence.steps import silence, unsilence
from runbook.console import document
from runbook.errors import UsageError
from runbook.observer import NullObserver
from runbook.settings import Target
from tests.schema import validate


class Alertmanager:
    """Keeps silences in the shape of `GET /api/v2/silences`."""

    def __init__(self) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def add(self, body: dict[str, Any], state: str = "active") -> str:
        number = f"s{len(self.silences) + 1}"
        self.silences[number] = body | {"id": number, "status": {"state": state}}
        return number

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(list(keeper.silences.values()))

            def do_POST(self) -> None:
                self.answer({"silenceID": keeper.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))})

            def do_DELETE(self) -> None:
                keeper.silences[self.path.rpartition("/")[2]]["status"]["state"] = "expired"
                self.answer({})

            def answer(self, body: object) -> None:
                payload = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def alertmanager() -> Iterator[Alertmanager]:
    keeper = Alertmanager()
    yield keeper
    keeper.http.shutdown()
    keeper.http.server_close()
    keeper.thread.join()


@pytest.fixture
def target(alertmanager: Alertmanager) -> Target:
    url = f"http://127.0.0.1:{alertmanager.http.server_port}"
    return Target.from_tables("test", {"alertmanager": {"url": url}}, source="test")


def context_of(target: Target, folder: Path, command: str) -> RunContext:
    return RunContext(command, screen=NullObserver(), target=target, directory=folder)


def silenced(target: Target, folder: Path, **options: str) -> SilenceResult:
    chosen = SilenceOptions(**{"reason": "moving Kafka", "author": "ana", **options})  # type: ignore[arg-type]  # as given
    found = silence(context_of(target, folder, "silence"), chosen)
    validate(document(found))
    return found


def ended(target: Target, folder: Path, silence_id: str | None = None) -> SilenceResult:
    found = unsilence(context_of(target, folder, "unsilence"), UnsilenceOptions(silence_id=silence_id))
    validate(document(found))
    return found


def foreign(alert: str) -> dict[str, Any]:
    """Return a silence that somebody made in Alertmanager's own pages."""
    matcher = {"name": "alertname", "value": alert, "isRegex": False, "isEqual": True}
    times = {"startsAt": "2025-11-03T19:00:00.000Z", "endsAt": "2099-11-03T19:00:00.000Z"}
    return {"matchers": [matcher], "createdBy": "bob", "comment": "mine"} | times


def test_a_silence(alertmanager: Alertmanager, target: Target, tmp_path: Path) -> None:
    """It is on the runbook's alert only, with author, reason and end, and its id is told."""
    before = datetime.now(UTC)
    found = silenced(target, tmp_path, duration="2h")

    [kept] = alertmanager.silences.values()
    assert [(one["name"], one["value"]) for one in kept["matchers"]] == [("alertname", "CrmEventsSinkDown")]
    assert (kept["createdBy"], kept["comment"]) == ("ana", "moving Kafka (inv silence)")
    assert timedelta(hours=2) <= datetime.fromisoformat(kept["endsAt"]) - before < timedelta(hours=2, minutes=1)
    assert found.silences is not None
    assert [(one.id, one.reason, one.state) for one in found.silences] == [("s1", "moving Kafka", "active")]
    assert (found.outcome, found.exit_code) == ("changed", 0)
    assert "id s1" in found.steps[-1].reason


def test_a_second_silence(alertmanager: Alertmanager, target: Target, tmp_path: Path) -> None:
    """One that lasts as long already is left alone; a longer one is added, so that no end comes early."""
    silenced(target, tmp_path, duration="2h")

    assert silenced(target, tmp_path, duration="1h").outcome == "unchanged"
    assert silenced(target, tmp_path, duration="3h").outcome == "changed"
    assert len(alertmanager.silences) == 2


def test_unsilence_ends_what_this_tool_made(alertmanager: Alertmanager, target: Target, tmp_path: Path) -> None:
    """Somebody else's silence, and one on another alert, stay."""
    alertmanager.add(foreign("CrmEventsSinkDown"))
    silenced(target, tmp_path)
    alertmanager.add({**foreign("CrmEventsNoClients"), "comment": "mine (inv silence)"})

    found = ended(target, tmp_path)

    assert found.silences is not None
    assert [(one.id, one.state) for one in found.silences] == [("s2", "expired")]
    states = {number: kept["status"]["state"] for number, kept in alertmanager.silences.items()}
    assert states == {"s1": "active", "s2": "expired", "s3": "active"}


def test_nothing_to_end(alertmanager: Alertmanager, target: Target, tmp_path: Path) -> None:
    """It says so, and says whose silence still holds the alert back."""
    alertmanager.add(foreign("CrmEventsSinkDown"))

    found = ended(target, tmp_path)

    assert (found.outcome, found.exit_code) == ("unchanged", 0)
    assert "made by others: 1" in found.steps[-1].reason


def test_unsilence_by_id(alertmanager: Alertmanager, target: Target, tmp_path: Path) -> None:
    """An id ends that silence, whoever made it."""
    number = alertmanager.add(foreign("CrmEventsSinkDown"))

    ended(target, tmp_path, number)

    assert alertmanager.silences[number]["status"]["state"] == "expired"


@pytest.mark.parametrize("state", ["expired", "never"])
def test_unsilence_an_id_that_is_not_in_force(
    alertmanager: Alertmanager, target: Target, tmp_path: Path, state: str
) -> None:
    """It is a named problem, not a success that changed nothing."""
    if state == "expired":
        alertmanager.add(foreign("CrmEventsSinkDown"), state)

    found = ended(target, tmp_path, "s1")

    assert found.exit_code == 1
    assert found.problem is not None
    assert "s1" in found.problem.seen


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"reason": ""}, "--reason"),
        ({"reason": " \n"}, "--reason"),
        ({"reason": "x", "duration": "8d"}, "--duration"),
        ({"reason": "x", "duration": "0h"}, "--duration"),
    ],
)
def test_a_silence_that_nobody_could_understand(
    target: Target, tmp_path: Path, options: dict[str, str], named: str
) -> None:
    """No reason, no end, or an end too far away is a usage error before anything is asked."""
    with pytest.raises(UsageError, match=named):
        silenced(target, tmp_path, **options)
