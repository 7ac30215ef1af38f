"""Grafana's part: dashboards from files, data sources, and queries that reach Prometheus."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from tests.contracts.contract_parts import (
    HTTP_TIMEOUT_S,
    ROOT,
    Program,
    eventually,
    free_port,
    reachable,
    real_parts,
    running,
)

UID = "crm-events-pipeline"
NAME = "crm_events_pipeline.json"
RATE = "sum by (topic) (rate(crm_events_ingested_total[5m]))"
TOPICS = ("apexflow.jobs.created", "apexflow.leads.created")
SECRET = "not the default"  # noqa: S105 - the stand-in's test login
BAD = {"status": "error", "errorType": "bad_data", "error": "1:5: parse error: unexpected <EOF>"}
DASHBOARD: dict[str, Any] = {"uid": UID, "title": "CRM Events", "schemaVersion": 36, "panels": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grafana:
    """One Grafana; `program` and `folder` (of its dashboard files) only of a stand-in."""

    url: str
    login: tuple[str, str]
    program: Program | None = None
    folder: Path = Path()

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", auth=self.login, timeout=HTTP_TIMEOUT_S)

    def post(self, path: str, body: object = None) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=body, auth=self.login, timeout=HTTP_TIMEOUT_S)

    def query(self, expr: str, uid: str | None = None, **more: object) -> requests.Response:
        source = {"type": "prometheus", "uid": uid or self.get("/api/datasources/name/Prometheus").json()["uid"]}
        query = {"refId": "A", "datasource": source, "expr": expr, "intervalMs": 15000, "maxDataPoints": 100} | more
        return self.post("/api/ds/query", {"queries": [query], "from": "now-5m", "to": "now"})

    def served(self) -> dict[str, Any] | None:
        """Return the dashboard, or None while it is not served."""
        answer = self.get(f"/api/dashboards/uid/{UID}")
        return answer.json() if answer.status_code == 200 else None

    def title(self) -> str | None:
        served = self.served()
        return served["dashboard"]["title"] if served else None

    def logged(self, text: str) -> None:
        assert self.program is not None
        program = self.program
        eventually(lambda: text in program.log() or None, f"log line with {text!r}")


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """Address of a server with recorded answers of Prometheus."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Recorded)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory, prometheus: str) -> Iterator[Grafana]:
    folder = tmp_path_factory.mktemp("grafana")
    with _grafana(folder, prometheus) as grafana:
        yield grafana


@pytest.fixture(params=[pytest.param(None, id="stand-in"), *real_parts("GRAFANA_URL")])
def grafana(request: pytest.FixtureRequest) -> Grafana:
    """The part under test; GRAFANA_URL (and GRAFANA_PASSWORD) let a real Grafana join."""
    if request.param is None:
        found: Grafana = request.getfixturevalue("stand_in")
        return found
    return Grafana(url=request.param[0], login=("admin", os.environ.get("GRAFANA_PASSWORD", "admin")))


def test_health_needs_no_login(grafana: Grafana) -> None:
    answer = requests.get(f"{grafana.url}/api/health", timeout=HTTP_TIMEOUT_S)
    assert (answer.status_code, answer.json()["database"]) == (200, "ok")
    assert {"commit", "version"} <= answer.json().keys()


def test_a_wrong_password_is_told_apart_from_none(grafana: Grafana) -> None:
    address = f"{grafana.url}/api/datasources"
    wrong = requests.get(address, auth=("admin", "wrong"), timeout=HTTP_TIMEOUT_S)
    none = requests.get(address, timeout=HTTP_TIMEOUT_S)
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid username or password")
    assert (none.status_code, none.json()["message"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ("None", [403, 403, 403, 403]),
        ("Viewer", [200, 200, 200, 403]),
        ("Editor", [200, 200, 200, 403]),
        ("Admin", [200, 200, 200, 200]),
    ],
)
def test_roles_have_the_permissions_of_the_documentation(stand_in: Grafana, role: str, statuses: list[int]) -> None:
    """Grafana's own may give a Viewer more; the words of a refusal are its own."""
    eventually(stand_in.served, "the dashboard")
    uid = stand_in.get("/api/datasources/name/Prometheus").json()["uid"]
    user = replace(stand_in, login=(role.lower(), SECRET))

    answers = (
        user.get(f"/api/dashboards/uid/{UID}"),
        user.get(f"/api/datasources/uid/{uid}/health"),
        user.query("up", uid=uid, instant=True, range=False),
        user.get("/api/datasources"),
    )

    assert [one.status_code for one in answers] == statuses
    refused = [one.json()["message"] for one in answers if one.status_code == 403]
    start = "You'll need additional permissions to perform this action. Permissions needed: "
    needed = ["dashboards:read", "datasources:query", "datasources:query", "datasources:read"]
    assert refused == [f"{start}{one}" for one in needed[len(needed) - len(refused) :]]
    assert user.get("/api/health").status_code == 200


def test_an_unknown_dashboard_is_404(grafana: Grafana) -> None:
    answer = grafana.get("/api/dashboards/uid/no-such-dashboard")
    assert (answer.status_code, answer.json()["message"]) == (404, "Dashboard not found")


def test_the_provisioned_dashboard_is_served(grafana: Grafana) -> None:
    served = eventually(grafana.served, "the dashboard")
    assert served["meta"]["provisioned"] is True
    assert served["meta"]["provisionedExternalId"].endswith(NAME)
    assert served["meta"]["url"] == f"/d/{UID}/{served['meta']['slug']}"
    assert (served["dashboard"]["uid"], served["meta"]["version"]) == (UID, served["dashboard"]["version"])


def test_the_data_source_is_the_same_by_name_by_uid_and_in_the_list(grafana: Grafana) -> None:
    by_name = grafana.get("/api/datasources/name/Prometheus").json()
    by_uid = grafana.get(f"/api/datasources/uid/{by_name['uid']}").json()
    [listed] = [source for source in grafana.get("/api/datasources").json() if source["name"] == "Prometheus"]
    assert by_name == by_uid
    assert {listed[name] for name in ("uid", "url")} == {by_uid[name] for name in ("uid", "url")}
    assert (by_uid["type"], by_uid["isDefault"]) == ("prometheus", True)


def test_an_unknown_data_source_is_404(grafana: Grafana) -> None:
    paths = ("uid/nothing", "name/nothing", "uid/nothing/health")
    assert [grafana.get(f"/api/datasources/{path}").status_code for path in paths] == [404, 404, 404]
    assert grafana.query("up", uid="nothing").status_code == 404


def test_the_data_source_says_that_prometheus_answers(grafana: Grafana) -> None:
    uid = grafana.get("/api/datasources/name/Prometheus").json()["uid"]
    answer = grafana.get(f"/api/datasources/uid/{uid}/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "OK")
    assert answer.json()["message"] == "Successfully queried the Prometheus API."


def test_an_instant_query_without_series_has_a_frame_without_fields(grafana: Grafana) -> None:
    result = grafana.query("no_such_metric", instant=True, range=False).json()["results"]["A"]
    assert result["status"] == 200
    assert [frame["schema"]["fields"] for frame in result["frames"]] == [[]]


def test_a_number_that_json_cannot_hold_is_an_entity(grafana: Grafana) -> None:
    result = grafana.query("vector(0) / 0", instant=True, range=False).json()["results"]["A"]
    [frame] = result["frames"]
    assert frame["data"]["values"][1] == [None]
    assert frame["data"]["entities"] == [None, {"NaN": [0]}]


def test_a_query_that_prometheus_refuses_is_400_with_its_words(grafana: Grafana) -> None:
    answer = grafana.query("sum(")
    assert answer.status_code == 400
    assert "parse error" in answer.json()["results"]["A"]["error"]


def test_an_instant_query_has_one_frame_per_series(stand_in: Grafana) -> None:
    """Labels are on the field `Value`, and times are epoch milliseconds."""
    frames = stand_in.query(RATE, instant=True, range=False, legendFormat="{{topic}}").json()["results"]["A"]["frames"]
    values = [frame["schema"]["fields"][1] for frame in frames]
    assert [value["labels"]["topic"] for value in values] == list(TOPICS)
    assert [value["config"]["displayNameFromDS"] for value in values] == list(TOPICS)
    assert [frame["data"]["values"] for frame in frames] == [[[1762199330500], [0.25]]] * 2


def test_a_range_query_has_aligned_times(stand_in: Grafana) -> None:
    """The range and its step reach Prometheus; both ends are multiples of the step."""
    frames = stand_in.query(RATE, range=True).json()["results"]["A"]["frames"]
    assert [field["type"] for field in frames[0]["schema"]["fields"]] == ["time", "number"]
    assert frames[0]["schema"]["fields"][0]["config"] == {"interval": 15000}
    times, values = frames[0]["data"]["values"]
    assert (len(times), set(values)) == (21, {0.25})
    assert {at % 15000 for at in times} == {0}


def test_a_data_source_without_uid_gets_grafanas_made_up_one(stand_in: Grafana) -> None:
    """PBFA97CFB590B2093 is what every Grafana makes of the name Prometheus."""
    assert stand_in.get("/api/datasources/name/Prometheus").json()["uid"] == "PBFA97CFB590B2093"


def test_the_environment_is_expanded_in_provisioning_files(stand_in: Grafana, prometheus: str) -> None:
    assert stand_in.get("/api/datasources/name/Prometheus").json()["url"] == prometheus


def test_a_browser_sees_the_dashboard(stand_in: Grafana) -> None:
    eventually(stand_in.served, "the dashboard")
    page = stand_in.get(f"/d/{UID}")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>CRM Events</title>" in page.text


def test_a_prometheus_that_cannot_be_reached_is_an_error_everywhere(tmp_path: Path) -> None:
    port = free_port()
    with _grafana(tmp_path, f"http://127.0.0.1:{port}") as grafana:
        health = grafana.get("/api/datasources/uid/PBFA97CFB590B2093/health")
        query = grafana.query("up")
    assert (health.status_code, health.json()["status"], query.status_code) == (400, "ERROR", 400)
    assert f"dial tcp 127.0.0.1:{port}: connect: connection refused" in health.json()["message"]


def test_a_prometheus_whose_name_does_not_resolve_is_named(tmp_path: Path) -> None:
    """In Go's words, whether the resolver knows no such host or is not there itself."""
    with _grafana(tmp_path, "http://prometheus.invalid:9090") as grafana:
        message = grafana.get("/api/datasources/uid/PBFA97CFB590B2093/health").json()["message"]
    assert "dial tcp: lookup prometheus.invalid: " in message
    assert any(why in message for why in ("no such host", "name resolution"))


def test_the_api_answers_before_the_first_dashboard(tmp_path: Path, prometheus: str) -> None:
    """A first look at the disk that never comes leaves the API healthy and the dashboard 404, until a reload."""
    with _grafana(tmp_path, prometheus, first_load_after_s=3600) as grafana:
        assert grafana.get("/api/health").status_code == 200
        assert grafana.served() is None
        reloaded = grafana.post("/api/admin/provisioning/dashboards/reload")
        assert (reloaded.status_code, reloaded.json()) == (200, {"message": "Dashboards config reloaded"})
        assert grafana.title() == "CRM Events"
        assert grafana.program is not None
        assert grafana.program.end() == 0


def test_a_changed_file_is_a_new_version_and_a_removed_one_is_gone(tmp_path: Path, prometheus: str) -> None:
    with _grafana(tmp_path, prometheus) as grafana:
        assert eventually(grafana.served, "the dashboard")["meta"]["version"] == 1
        _write(grafana.folder, title="Changed")
        served = eventually(lambda: _if_title(grafana, "Changed"), "the change")
        assert served["dashboard"]["version"] == 2
        (grafana.folder / NAME).unlink()
        eventually(lambda: grafana.served() is None or None, "the dashboard's end")


@pytest.mark.parametrize("bad", ["{", '{"apiVersion": "v2", "elements": {}}', '{"uid": "crm-events-pipeline"}', "[]"])
def test_a_bad_file_leaves_the_old_dashboard_served(tmp_path: Path, prometheus: str, bad: str) -> None:
    """Broken JSON, schema v2, no title, no object: a line in the log, and the API answers as before."""
    with _grafana(tmp_path, prometheus) as grafana:
        eventually(grafana.served, "the dashboard")
        (grafana.folder / NAME).write_text(bad)
        grafana.logged("failed to load dashboard")
        assert grafana.title() == "CRM Events"


def test_a_change_that_keeps_the_modification_time_is_not_seen(tmp_path: Path, prometheus: str) -> None:
    """Until everything is provisioned anew; the file beside it shows that the disk was looked at in between."""
    with _grafana(tmp_path, prometheus) as grafana:
        eventually(grafana.served, "the dashboard")
        path = grafana.folder / NAME
        draft, old = tmp_path / "draft", path.stat()
        draft.write_text(json.dumps({**DASHBOARD, "title": "Unseen"}), encoding="utf-8")
        os.utime(draft, ns=(old.st_atime_ns, old.st_mtime_ns))
        draft.replace(path)
        (grafana.folder / "beside.json").write_text("{")
        grafana.logged("beside.json")
        assert grafana.title() == "CRM Events"
        grafana.post("/api/admin/provisioning/dashboards/reload")
        assert grafana.title() == "Unseen"


def test_the_reference_dashboard_with_its_bom_is_served_and_logged(tmp_path: Path, prometheus: str) -> None:
    with _grafana(tmp_path, prometheus) as grafana:
        reference = ROOT / "monitoring" / "grafana" / "dashboards" / NAME
        shutil.copyfile(reference, grafana.folder / NAME)
        wanted = json.loads(reference.read_text(encoding="utf-8-sig"))
        served = eventually(lambda: _if_title(grafana, wanted["title"]), "the reference dashboard")
        grafana.logged("BOM")
    assert served["dashboard"]["panels"] == wanted["panels"]


def test_a_uid_from_two_providers_freezes_the_dashboard(tmp_path: Path, prometheus: str) -> None:
    """Both lose their write access: a change is not served until the duplicate is gone."""
    with _grafana(tmp_path, prometheus, providers=("folder", "single")) as grafana:
        eventually(grafana.served, "the dashboard")
        _write(tmp_path / "single", title="Twin")
        grafana.logged("the same UID is used more than once")
        grafana.logged("no database write permissions because of duplicates")
        _write(grafana.folder, title="Frozen")
        grafana.logged("restricted database access")
        assert grafana.title() != "Frozen"
        (tmp_path / "single" / NAME).unlink()
        eventually(lambda: _if_title(grafana, "Frozen"), "write access again")


def test_a_bad_provisioning_file_ends_the_start(tmp_path: Path, prometheus: str) -> None:
    """One line that names the file, and exit code 1."""
    _provisioning(tmp_path, ("folder",))
    broken = tmp_path / "provisioning" / "datasources" / "prometheus.yml"
    broken.write_text("datasources: [")
    options = ("--port", str(free_port()), "--provisioning", str(tmp_path / "provisioning"))
    with running("grafana", *options, output=tmp_path / "log", environment={"PROMETHEUS": prometheus}) as program:
        assert program.process.wait(10) == 1
        assert f"grafana: {broken}" in program.log()


@contextmanager
def _grafana(
    root: Path, prometheus: str, *, providers: tuple[str, ...] = ("folder",), first_load_after_s: float = 0.1
) -> Iterator[Grafana]:
    """Start the stand-in on one dashboard, with a folder per provider, looked at every 0.1 s."""
    _provisioning(root, providers)
    _write(root / "folder", title="CRM Events")
    port = free_port()
    options = ("--port", str(port), "--provisioning", "provisioning", "--first-load-after", f"{first_load_after_s:g}")
    users = ",".join(f"{role.lower()}:{SECRET}:{role}" for role in ("None", "Viewer", "Editor"))
    environment = {"PROMETHEUS": prometheus, "GF_SECURITY_ADMIN_PASSWORD": SECRET, "STAND_IN_USERS": users}
    with ExitStack() as stack:
        program = stack.enter_context(
            running("grafana", *options, output=root / "log", environment=environment, cwd=root)
        )
        reachable(program, port)
        url = f"http://127.0.0.1:{port}"
        yield Grafana(url=url, login=("admin", SECRET), program=program, folder=root / "folder")
        assert SECRET not in program.log()


def _provisioning(root: Path, providers: tuple[str, ...]) -> None:
    """Write both files as a real installation has them; JSON is YAML too."""
    source = {"name": "Prometheus", "type": "prometheus", "access": "proxy", "url": "${PROMETHEUS}", "isDefault": True}
    entries = [
        {"name": name, "type": "file", "updateIntervalSeconds": 0.1, "options": {"path": name}} for name in providers
    ]
    files = {"datasources/prometheus.yml": {"datasources": [source]}, "dashboards/all.yml": {"providers": entries}}
    for name, content in files.items():
        path = root / "provisioning" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"apiVersion": 1, **content}))
    for name in providers:
        (root / name).mkdir()


def _write(folder: Path, title: str) -> None:
    """Write the dashboard as another writer would see it: whole."""
    draft = folder / "draft"
    draft.write_text(json.dumps({**DASHBOARD, "title": title}), encoding="utf-8")
    draft.replace(folder / NAME)


def _if_title(grafana: Grafana, title: str) -> dict[str, Any] | None:
    served = grafana.served()
    return served if served and served["dashboard"]["title"] == title else None


class _Recorded(BaseHTTPRequestHandler):
    """What Prometheus answered to these queries; only the times of a range follow the question."""

    def do_POST(self) -> None:
        form = {
            name: values[0]
            for name, values in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()
        }
        answer = BAD if form["query"] == "sum(" else {"status": "success", "data": _recorded(self.path, form)}
        body = json.dumps(answer).encode()
        self.send_response(400 if answer is BAD else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def _recorded(path: str, form: dict[str, str]) -> dict[str, Any]:
    if path == "/api/v1/query_range":
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        times = [start + place * step for place in range(round((end - start) / step) + 1)]
        samples = [[at, "0.25"] for at in times]
        return {"resultType": "matrix", "result": [{"metric": {"topic": topic}, "values": samples} for topic in TOPICS]}
    at = 1762199330.5
    series = {
        RATE: [{"metric": {"topic": topic}, "value": [at, "0.25"]} for topic in TOPICS],
        "vector(0) / 0": [{"metric": {}, "value": [time.time(), "NaN"]}],
    }
    if form["query"] == "1+1":
        return {"resultType": "scalar", "result": [at, "2"]}
    return {"resultType": "vector", "result": series.get(form["query"], [])}
