"""An installation without Docker: the embedded stack as files and addresses; its operator restarts what is asked for.

Doors before Grafana and Prometheus refuse every reload, as those do that were started without that right.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from runbook.errors import RunbookError
from runbook.local_stack.tools import found_tools
from runbook.settings import STACK_DIR, Target, load_target
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.processes.launcher import Launcher
from tests.command_line import CHECKOUT, Run, given

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
_ANSWER_S = 30
_COMMAND_S = 300


@dataclass(frozen=True, slots=True)
class Place:
    """A stack that is up in `directory`, and its settings as target `local`."""

    directory: Path

    @property
    def local(self) -> Target:
        return load_target("local", directory=self.directory)

    def contents(self) -> list[bytes]:
        files = self.local.files
        assert files.dashboard
        assert files.rules
        return [files.dashboard.read_bytes(), files.rules.read_bytes()]

    def write_settings(self, *, grafana: str, prometheus: str, log: bool) -> None:
        """Write runbook.toml for the target `live`, as an operator of files and addresses has it."""
        local = self.local
        tables = {
            "runtime": {"kind": "none"},
            "files": {"dashboard": str(local.files.dashboard), "rules": str(local.files.rules)},
            "keycloak": {"url": local.keycloak.url},
            "gateway": {"url": local.gateway.url},
            "kafka": {"bootstrap": local.kafka.bootstrap},
            "sink": {"metrics_url": local.sink.metrics_url, "http_url": local.sink.http_url},
            "prometheus": {
                "url": prometheus,
                "rules_inside": local.prometheus.rules_inside,
                "promtool": local.prometheus.promtool,
            },
            "alertmanager": {"url": local.alertmanager.url},
            "grafana": {"url": grafana},
        }
        if log:
            tables["sink"]["log_file"] = str(Launcher(self.directory / STACK_DIR).log_file(local.sink.service))
        text = "".join(
            f"[targets.live.{group}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for group, table in tables.items()
        )
        (self.directory / "runbook.toml").write_text(text, encoding="utf-8")

    def does(self, *arguments: str) -> Run:
        return given(self.directory, *arguments, "--target", "live")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no embedded installation here: {error.seen.splitlines()[-1]}")
    directory = tmp_path_factory.mktemp("none")
    try:
        up = given(directory, "stack.up")
        assert up.code == 0, up.document
        yield Place(directory)
    finally:
        ended = given(directory, "stack.down")
    assert ended.code == 0, ended.document


@dataclass
class Door:
    """Passes on what it is asked, and refuses reloads with 403."""

    behind: str
    refused: list[str] = field(default_factory=list)

    def __enter__(self) -> str:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(door: Door) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/reload"):
                door.refused.append(self.path)
                self._answer(403, b"{}", "application/json")
            else:
                self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            own = {"Authorization", "Content-Type"} & set(self.headers)
            headers = {name: self.headers[name] for name in own}
            url = f"{door.behind}{self.path}"
            try:
                answer = requests.request(self.command, url, data=body, headers=headers, timeout=_ANSWER_S)
            except requests.RequestException:
                self._answer(502, b"", "text/plain")
                return
            self._answer(answer.status_code, answer.content, answer.headers.get("Content-Type", "text/plain"))

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def operated(place: Place, *arguments: str) -> tuple[int, dict[str, Any], list[str]]:
    """Give a command and restart what it asks for, as it asks; return its code, its document, and who was restarted."""
    services = {one.name: one for one in (place.local.grafana.as_service, place.local.prometheus.as_service)}
    restarted: list[str] = []
    command = [sys.executable, "-m", "runbook", *arguments, "--target", "live", "--json"]
    with subprocess.Popen(
        command,
        cwd=place.directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stderr
        for line in child.stderr:
            words = line.split()
            if words[:1] == ["Restart"] and words[2:3] == ["now,"]:
                ProcessRuntime(place.directory / STACK_DIR).restart(services[words[1]], timeout_s=20)
                restarted.append(words[1])
        document = json.loads(child.stdout.read())
        return child.wait(_COMMAND_S), document, restarted


def test_an_installation_of_files_and_addresses_there_and_back(place: Place) -> None:
    """Setup asks for the restart of Prometheus, and Grafana reads by itself; every other command works, too."""
    before = place.contents()
    doors = Door(place.local.grafana.url), Door(place.local.prometheus.url)
    with ExitStack() as open_:
        grafana, prometheus = (open_.enter_context(door) for door in doors)
        place.write_settings(grafana=grafana, prometheus=prometheus, log=True)
        planned = place.does("setup", "--dry-run")
        assert (planned.code, planned.document["outcome"]) == (2, "pending"), planned.document

        code, document, restarted = operated(place, "setup", "--yes")
        assert (code, document["outcome"], restarted) == (0, "changed", ["prometheus"]), document
        assert [len(door.refused) for door in doors] == [1, 1]
        assert place.contents() != before
        again = place.does("setup", "--yes")
        assert (again.code, again.document["outcome"]) == (0, "unchanged")

        sent = place.does("traffic", "--leads", "3", "--jobs", "1")
        assert sent.code == 0, sent.document
        proven = place.does("verify")
        assert proven.code == 0, proven.document
        assert [one["outcome"] for one in proven.document["criteria"]] == ["ok"] * 5
        found = place.does("troubleshoot")
        assert (found.code, found.document["verdict"]["outcome"]) == (0, "healthy"), found.document["verdict"]
        assert not {one["code"] for one in found.document["checks"]} & {"DOCKER_DOWN", "CTR_EXITED", "R_STALE_INODE"}
        assert place.does("metrics").code == 0
        silenced = place.does("silence", "--duration", "5m", "--reason", "journey")
        assert silenced.code == 0, silenced.document
        assert place.does("unsilence").code == 0
        assert place.does("logs").code == 0

        code, document, restarted = operated(place, "rollback", "--yes")
        assert (code, document["outcome"], restarted) == (0, "changed", ["prometheus"]), document
    assert place.contents() == before


def test_services_that_can_be_told_need_no_operator_and_a_log_that_is_not_set_is_not_checked(place: Place) -> None:
    """Grafana's admin and Prometheus's lifecycle reload them; without the log one criterion is not checked: code 3."""
    before = place.contents()
    place.write_settings(grafana=place.local.grafana.url, prometheus=place.local.prometheus.url, log=False)

    done = place.does("setup", "--yes")
    assert (done.code, done.document["outcome"]) == (0, "changed"), done.document
    assert place.does("traffic", "--leads", "1", "--jobs", "1").code == 0
    proven = place.does("verify")
    outcomes = [one["outcome"] for one in proven.document["criteria"]]
    assert (proven.code, outcomes) == (3, ["ok", "ok", "ok", "ok", "not_checked"]), proven.document
    nothing = place.does("logs")
    assert nothing.code == 1
    assert "RUNBOOK_SINK_LOG_FILE" in nothing.document["error"]["fix"]
    assert place.does("rollback", "--yes").code == 0
    assert place.contents() == before
