"""Edge proxy, gateway and ApexFlow: the HTTP API of the facts, and the events that follow from it."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from confluent_kafka import Consumer

from runbook.local_stack import stack
from runbook.observer import NullObserver
from runbook.settings import LOCAL, load_target
from tests.contracts.contract_parts import (
    HTTP_TIMEOUT_S,
    PLAYERS,
    Program,
    eventually,
    free_port,
    played_by,
    reachable,
    running,
    token,
)

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
LEAD_FIELDS = ["id", "tenant_id", "name", "email", "phone", "source", "status", "assigned_to", "tags", "created_at"]
JOB_FIELDS = ["id", "tenant_id", "lead_id", "title", "status", "description", "created_at"]
HOST = "apexflow.aetherlink.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Addresses of one installation from the token to the topic."""

    gateway: str
    issuer: str
    bootstrap: str

    def call(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Call the API as demo; `headers` replace the usual ones, an empty one is left out."""
        usual = {"Host": HOST, "Authorization": f"Bearer {token(self.issuer).json()['access_token']}"}
        given = {name: value for name, value in (usual | headers).items() if value}
        return requests.request(method, f"{self.gateway}{path}", json=body, headers=given, timeout=HTTP_TIMEOUT_S)

    def lead(self) -> dict[str, object]:
        """Create a lead nobody has created before."""
        answer = self.call("POST", "/leads", _lead())
        assert answer.status_code in {200, 201}
        created: dict[str, object] = answer.json()
        return created


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """All four stand-ins, started side by side in no order."""
    folder = tmp_path_factory.mktemp("flow")
    issuer, upstream, gateway, bootstrap = free_port(), free_port(), free_port(), folder / "bootstrap"
    commands = {
        "gateway": _gateway_options(gateway, upstream, issuer),
        "apexflow": _apexflow_options(upstream, folder / "apexflow.sqlite", bootstrap),
        "issuer": ("--port", str(issuer)),
        "broker": ("--bootstrap-file", str(bootstrap), "--topic", f"{LEADS}:4", "--topic", f"{JOBS}:4"),
    }
    with ExitStack() as stack:
        for name, options in commands.items():
            program = stack.enter_context(running(name, *options, output=folder / name))
            if name != "broker":
                reachable(program, int(options[1]))
        address = eventually(lambda: bootstrap.read_text().strip() if bootstrap.exists() else None, "the broker")
        yield Flow(gateway=f"http://127.0.0.1:{gateway}", issuer=f"http://127.0.0.1:{issuer}", bootstrap=address)


@pytest.fixture(params=PLAYERS)
def flow(request: pytest.FixtureRequest) -> Flow:
    """The flow under test: gateway and ApexFlow, with stand-ins or with Keycloak, Kafka and PostgreSQL behind them."""
    real = played_by(request)
    if real is None:
        found: Flow = request.getfixturevalue("stand_in")
        return found
    return Flow(gateway=real.gateway.url, issuer=real.keycloak.url, bootstrap=real.kafka.bootstrap)


def test_a_created_lead_comes_back_with_an_id_and_its_tenant(flow: Flow) -> None:
    wanted = _lead()
    created = flow.call("POST", "/leads", wanted).json()
    assert set(LEAD_FIELDS) <= created.keys()
    assert isinstance(created["id"], int)
    assert {**wanted, "tenant_id": "acme"}.items() <= created.items()


def test_the_same_email_again_is_409_and_named(flow: Flow) -> None:
    lead = _lead()
    flow.call("POST", "/leads", lead)
    again = flow.call("POST", "/leads", lead)
    assert again.status_code == 409
    assert lead["email"] in again.text


def test_a_job_needs_a_lead_of_this_tenant(flow: Flow) -> None:
    """An id that no lead has, or that no database can hold, is 404; the id of a fresh lead is taken."""
    for nobody in (2**31 - 1, -(2**80)):
        assert flow.call("POST", "/jobs", _job(nobody)).status_code == 404
    created = flow.call("POST", "/jobs", _job(flow.lead()["id"])).json()
    assert set(JOB_FIELDS) <= created.keys()


@pytest.mark.parametrize("body", [{}, [], {"name": 1, "email": "a@b.c"}, {"name": "no e-mail"}])
def test_a_body_that_does_not_fit_is_422_with_a_list(flow: Flow, body: object) -> None:
    answer = flow.call("POST", "/leads", body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


def test_an_unknown_host_is_the_proxys_own_404(flow: Flow) -> None:
    answer = flow.call("GET", "/leads", Host="elsewhere")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("authorization", ["", "Bearer x.y.z", "Bearer nonsense", "Basic ZGVtbzpkZW1v"])
def test_no_token_or_a_bad_one_is_401(flow: Flow, authorization: str) -> None:
    assert flow.call("GET", "/leads", Authorization=authorization).status_code == 401


def test_a_changed_token_is_401(flow: Flow) -> None:
    """Another payload under a good signature: a gateway that only decodes the token would let it pass."""
    head, _, signature = token(flow.issuer).json()["access_token"].split(".")
    other_payload = token(flow.issuer).json()["access_token"].split(".")[1]
    answer = flow.call("GET", "/leads", Authorization=f"Bearer {head}.{other_payload}.{signature}")
    assert answer.status_code == 401


def test_another_tenant_than_the_tokens_is_403(flow: Flow) -> None:
    assert flow.call("GET", "/leads", **{"x-tenant-id": "globex"}).status_code == 403


def test_events_have_the_fields_and_keys_of_the_facts(flow: Flow) -> None:
    """One event per created entity, under its key, with exactly the fields that the facts list."""
    lead = flow.lead()
    job = flow.call("POST", "/jobs", _job(lead["id"])).json()
    lead_key, job_key = f"acme:lead:{lead['id']}", f"acme:job:{job['id']}"
    events = _events(flow.bootstrap, {lead_key, job_key})
    about_lead, about_job = events[lead_key], events[job_key]
    assert set(about_lead) == {*LEAD_FIELDS, "event_version", "actor", "event_type", "published_at"}
    assert set(about_job) == {*JOB_FIELDS, "event_type", "published_at"}
    assert (about_lead["event_type"], about_job["event_type"]) == ("lead.created", "job.created")
    assert not any(mark in str(about_lead["published_at"])[10:] for mark in "+-Z")


def test_leads_are_listed_newest_first(flow: Flow) -> None:
    first, second = flow.lead(), flow.lead()
    listed = flow.call("GET", "/leads?limit=2").json()
    assert listed == [second, first]


def test_a_token_without_a_tenant_is_400(tmp_path: Path) -> None:
    with _gateway(tmp_path, issuer_options=("--no-tenant-claim",)) as flow:
        answer = flow.call("GET", "/leads")
        assert (answer.status_code, answer.json()) == (400, {"detail": "tenant required"})


def test_a_token_of_another_issuer_is_401(tmp_path: Path) -> None:
    with _gateway(tmp_path, issuer_options=("--issuer-url", "http://elsewhere")) as flow:
        answer = flow.call("GET", "/leads")
        assert answer.status_code == 401
        assert "issuer" in answer.json()["detail"]


def test_an_expired_token_is_401(tmp_path: Path) -> None:
    with _gateway(tmp_path, issuer_options=("--token-lifetime", "-60")) as flow:
        answer = flow.call("GET", "/leads")
        assert (answer.status_code, answer.json()) == (401, {"detail": "token expired"})


def test_an_upstream_that_refuses_is_502(tmp_path: Path) -> None:
    with _gateway(tmp_path) as flow:
        assert flow.call("GET", "/leads").status_code == 502


def test_an_upstream_that_says_nothing_is_504(tmp_path: Path) -> None:
    done = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            done.wait(20)

    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with _gateway(tmp_path, upstream=server.server_port) as flow:
            assert flow.call("GET", "/leads").status_code == 504
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_new_keys_of_the_issuer_are_found(tmp_path: Path) -> None:
    """The issuer starts after the gateway, and again with another key: each token is taken (502: no upstream)."""
    issuer, gateway = free_port(), free_port()
    flow = _flow(gateway, issuer)
    with running("gateway", *_gateway_options(gateway, free_port(), issuer), output=tmp_path / "gateway") as program:
        reachable(program, gateway)
        for start in ("first", "second"):
            with running("issuer", "--port", str(issuer), output=tmp_path / start) as keys:
                reachable(keys, issuer)
                assert flow.call("GET", "/leads").status_code == 502


def test_a_request_without_a_tenant_is_400_for_apexflow_too(tmp_path: Path) -> None:
    with _apexflow(tmp_path) as (address, _):
        answer = requests.get(f"{address}/leads", timeout=HTTP_TIMEOUT_S)
        assert (answer.status_code, answer.json()) == (400, {"detail": "tenant required"})


def test_a_database_that_is_gone_is_500_until_it_is_back(tmp_path: Path) -> None:
    """Nothing is created meanwhile, and the same request succeeds afterwards."""
    with _apexflow(tmp_path) as (address, _):
        lead, database = _lead(), tmp_path / "apexflow.sqlite"
        database.rename(tmp_path / "away")
        assert _post(address, "/leads", lead).status_code == 500
        (tmp_path / "away").rename(database)
        assert _post(address, "/leads", lead).status_code == 200


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.xdist_group("real parts")
def test_a_database_server_that_is_down_is_500_until_it_is_back(real_stack: Path) -> None:
    """The same of PostgreSQL; what was created before it was killed is still there."""
    real = load_target(LOCAL, directory=real_stack)
    flow = Flow(gateway=real.gateway.url, issuer=real.keycloak.url, bootstrap=real.kafka.bootstrap)
    before, lead = flow.lead(), _lead()
    stack.stop_service(real_stack, "apexflow-db", kill=True)
    assert flow.call("POST", "/leads", lead).status_code == 500
    stack.up(real_stack, NullObserver())
    assert flow.call("POST", "/leads", lead).status_code == 200
    assert before in flow.call("GET", "/leads").json()


def test_the_same_email_is_free_for_another_tenant(tmp_path: Path) -> None:
    with _apexflow(tmp_path) as (address, _):
        lead = _lead()
        statuses = [_post(address, "/leads", lead, tenant).status_code for tenant in ("acme", "globex", "acme")]
        assert statuses == [200, 200, 409]


def test_events_wait_for_kafka_through_a_restart(tmp_path: Path, stand_in: Flow) -> None:
    """Created while no broker was known, and in another process: each event comes, once, and ids go on."""
    created: list[int] = []
    for _ in range(2):
        with _apexflow(tmp_path) as (address, program):
            created.append(_post(address, "/leads", _lead(), "restart").json()["id"])
            assert program.end() == 0
    (tmp_path / "bootstrap").write_text(stand_in.bootstrap)
    with _apexflow(tmp_path):
        events = _events(stand_in.bootstrap, {f"restart:lead:{number}" for number in created})
    assert created == [1, 2]
    assert {event["id"] for event in events.values()} == {1, 2}


def _lead() -> dict[str, str]:
    return {"name": "Contract", "email": f"{uuid.uuid4()}@test.com", "source": "contract-test"}


def _job(lead_id: object) -> dict[str, object]:
    return {"lead_id": lead_id, "title": "Contract", "status": "Open", "description": "of a contract test"}


@pytest.mark.parametrize(
    ("instead", "status", "kind", "said"),
    [
        ("login-page", 200, "text/html", "Sign in"),
        ("redirect", 302, "text/html", ""),
        ("limit", 429, "text/plain", "Too Many Requests"),
        ("login", 401, "text/plain", "401 Unauthorized"),
        ("bad-gateway", 502, "text/plain", "Bad Gateway"),
    ],
)
def test_the_edge_proxy_can_answer_in_place_of_the_gateway(
    tmp_path: Path, instead: str, status: int, kind: str, said: str
) -> None:
    """In the words of Traefik and its middlewares; another Host has no route."""
    with _gateway(tmp_path, gateway_options=("--instead", instead)) as flow:
        answer = requests.post(
            f"{flow.gateway}/jobs", headers={"Host": HOST}, timeout=HTTP_TIMEOUT_S, allow_redirects=False
        )
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, kind)
        assert said in answer.text
        assert flow.call("POST", "/jobs", Host="elsewhere").status_code == 404


def _post(address: str, path: str, body: object, tenant: str = "acme") -> requests.Response:
    return requests.post(f"{address}{path}", json=body, headers={"x-tenant-id": tenant}, timeout=HTTP_TIMEOUT_S)


def _flow(gateway: int, issuer: int) -> Flow:
    return Flow(gateway=f"http://127.0.0.1:{gateway}", issuer=f"http://127.0.0.1:{issuer}", bootstrap="")


@contextmanager
def _gateway(
    folder: Path,
    issuer_options: tuple[str, ...] = (),
    upstream: int | None = None,
    gateway_options: tuple[str, ...] = (),
) -> Iterator[Flow]:
    """Issuer and gateway; nothing listens at the upstream unless it is given."""
    issuer, gateway = free_port(), free_port()
    options = (*_gateway_options(gateway, upstream or free_port(), issuer), *gateway_options)
    with (
        running("issuer", "--port", str(issuer), *issuer_options, output=folder / "issuer") as keys,
        running("gateway", *options, "--upstream-timeout", "0.3", output=folder / "gateway") as program,
    ):
        reachable(keys, issuer)
        reachable(program, gateway)
        yield _flow(gateway, issuer)


@contextmanager
def _apexflow(folder: Path) -> Iterator[tuple[str, Program]]:
    """ApexFlow alone; its broker is known once the file `bootstrap` is there."""
    port = free_port()
    options = _apexflow_options(port, folder / "apexflow.sqlite", folder / "bootstrap")
    with running("apexflow", *options, output=folder / "apexflow.log") as program:
        reachable(program, port)
        yield f"http://127.0.0.1:{port}", program


def _gateway_options(port: int, upstream: int, issuer: int) -> tuple[str, ...]:
    addresses = ("--upstream", f"http://127.0.0.1:{upstream}", "--issuer-url", f"http://127.0.0.1:{issuer}")
    return ("--port", str(port), *addresses)


def _apexflow_options(port: int, database: Path, bootstrap: Path) -> tuple[str, ...]:
    return ("--port", str(port), "--database", str(database), "--bootstrap-file", str(bootstrap))


def _events(bootstrap: str, keys: set[str]) -> dict[str, dict[str, object]]:
    """Return the events under these keys, once all are there; one that comes twice is an error."""
    settings = {"bootstrap.servers": bootstrap, "group.id": f"contract-{uuid.uuid4()}", "log_level": 0}
    found: dict[str, dict[str, object]] = {}
    with Consumer(settings | {"auto.offset.reset": "earliest", "enable.auto.commit": False}) as consumer:
        consumer.subscribe([LEADS, JOBS])

        def probe() -> bool | None:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                key = (message.key() or b"").decode()
                if key in keys:
                    assert key not in found
                    found[key] = json.loads(message.value() or b"")
            return True if found.keys() == keys else None

        eventually(probe, f"events {sorted(keys)}")
    return found
