"""No secret of the settings is ever shown: every command, its screen, its JSON, its files, and what it starts.

Each address and each secret setting holds a canary of its own. Its middle is alphanumeric, which no escaping of URLs,
forms, JSON or HTML changes; base64 is searched for, too.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from runbook.errors import UsageError
from runbook.settings import setting_groups
from runbook.systems.settings_group import Group, Login, is_secret
from tasks import namespace
from tests.all_commands import COMMANDS, TARGET, WITHOUT_TARGET
from tests.installation import an_installation
from tests.small_engine import Engine

CHECKOUT = Path(__file__).resolve().parents[1]
DRIVER = Path(__file__).with_name("all_commands.py")
SETTINGS_FILE = "runbook.toml"
TIMEOUT_S = 170
TOKEN_PATH = "/protocol/openid-connect/token"  # noqa: S105 - a path
HEADER, CLAIMS = (
    base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in ({"alg": "x"}, {"tenant_id": "acme"})
)


CREATES = frozenset({"/leads", "/jobs"})


def refused(quoted: str) -> dict[str, str]:
    return {"error": "invalid_request", "error_description": quoted}


class Echo:
    """A server that quotes each request in its answer.

    With a token it is an issuer that grants it, and a gateway that creates whatever is sent to it.
    """

    def __init__(self, *, status: int, token: str = "") -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                quoted = (
                    f"{self.headers.get('Authorization')} {sent.decode()} {self.requestline} {self.headers.items()}"
                )
                path = urlsplit(self.path).path
                code: int
                body: object
                if token and path in CREATES and json.loads(sent)["lead_id" if path == "/jobs" else "name"] != 0:
                    code, body = 201, {"id": 7, "tenant_id": "acme"}
                elif path.endswith(TOKEN_PATH):
                    code, body = (200, {"access_token": token}) if token else (status, refused(quoted))
                else:
                    code, body = status, quoted
                answer = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(code)
                self.send_header("Content-Type", "text/plain" if body is quoted else "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = reply  # noqa: N815 - names that http.server looks up

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@dataclass
class Canaries:
    """Secrets, each with the setting that holds it."""

    cores: dict[str, str] = field(default_factory=dict)

    def secret(self, holder: str) -> str:
        """Return a new secret: what every kind of escaping must change, around what none does."""
        core = self.cores[holder] = f"zq{len(self.cores):02d}canary{len(self.cores):02d}qz"
        return f'p+/&%é"<{core} ?#@:'

    def token(self, holder: str) -> str:
        """Return a new bearer token: of ASCII, as others are refused."""
        self.secret(holder)
        return f'p+/&%~"<{self.cores[holder]}?#@:'

    def found_in(self, text: str) -> set[str]:
        """Return the holders of the secrets that a text shows, as they are or in base64."""
        return {holder for holder, core in self.cores.items() if any(form in text for form in (core, *_encoded(core)))}


def _encoded(core: str) -> Iterator[str]:
    """Yield what is always the same in base64 of a text that holds `core`, at each of the three alignments."""
    for before in range(3):
        whole = base64.b64encode(b" " * before + core.encode()).decode().rstrip("=")
        yield whole[4 if before else 0 : -2]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that the commands left: by what it is, its text."""

    texts: dict[str, str]
    canaries: Canaries

    @property
    def leaks(self) -> dict[str, set[str]]:
        found = {name: self.canaries.found_in(text) for name, text in self.texts.items()}
        return {name: holders for name, holders in found.items() if holders}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the systems are: `address` for all, but for the groups that have one of their own.

    `only_in_addresses` leaves the settings unset that take user and password of an address. With `has_tokens` there is
    a bearer token beside each password, which is then not sent.
    """

    address: str
    own: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    only_in_addresses: bool = False
    has_tokens: bool = False


def tables(canaries: Canaries, place: Place) -> dict[str, dict[str, Any]]:
    """Return the settings of a target: every address and every secret holds a canary."""
    made: dict[str, dict[str, Any]] = {
        "gateway": {"url": f"http://{place.own.get('gateway', place.address)}"},
        "kafka": {"bootstrap": "127.0.0.1:1"},
        "runtime": {"docker_host": place.engine},
    }
    for group, kind in setting_groups().items():
        moved = {setting for login in logins(kind).values() for setting in (login.password, login.query)}
        for name, info in kind.model_fields.items():
            table, holder = made.setdefault(group, {}), f"{group}.{name}"
            if name in logins(kind):
                path = urlsplit(str(info.default)).path
                query = f"?t={quote(canaries.secret(f'{holder} query'), safe='')}" if logins(kind)[name].query else ""
                address = f"{place.own.get(group, place.address)}{path}{query}"
                table[name] = f"http://ops:{quote(canaries.secret(holder), safe='')}@{address}"
            elif "dict" in str(info.annotation):
                sasl = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "ops"}
                table[name] = {**sasl, "sasl.password": canaries.secret(holder)}
            elif name.endswith("token"):
                table |= {name: canaries.token(holder)} if place.has_tokens else {}
            elif is_secret(info) and not (place.only_in_addresses and name in moved):
                table[name] = canaries.secret(holder)
    return made


def logins(kind: type[Group]) -> dict[str, Login]:
    return {name: one for name, info in kind.model_fields.items() for one in info.metadata if isinstance(one, Login)}


def toml(settings: dict[str, dict[str, Any]]) -> str:
    """Write the settings of the target as TOML, whose basic strings are JSON's."""

    def value(one: object) -> str:
        if isinstance(one, dict):
            return "{ " + ", ".join(f'"{key}" = {value(inner)}' for key, inner in one.items()) + " }"
        return json.dumps(one, ensure_ascii=False)

    return "\n".join(
        f"[targets.{TARGET}.{group}]\n" + "".join(f"{name} = {value(one)}\n" for name, one in table.items())
        for group, table in settings.items()
    )


def seen_of_all_commands(folder: Path, place: Place, *, canaries: Canaries | None = None, way: str = "") -> Seen:
    """Give every command in a folder, and return all that can be seen of it."""
    canaries = canaries or Canaries()
    work, processes = folder / "work", folder / "processes.txt"
    work.mkdir()
    settings = tables(canaries, place)
    settings["files"] = {"monitoring_dir": str(folder / "monitoring")}
    (work / SETTINGS_FILE).write_text(toml(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(processes), way],
        cwd=work,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\$ inv", done.stdout, flags=re.MULTILINE)) == 2 * (len(COMMANDS) + len(WITHOUT_TARGET))
    files = {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if is_ours(path)}
    return Seen(texts={"stdout": done.stdout, "stderr": done.stderr, **files}, canaries=canaries)


def is_ours(path: Path) -> bool:
    return path.is_file() and path.name != SETTINGS_FILE


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of an operator without settings of his own, and without a browser."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOK_", "DOCKER_"))}
    paths = os.pathsep.join([str(CHECKOUT), str(DRIVER.parent)])
    return {**others, "PYTHONPATH": paths, "HOME": str(folder), "BROWSER": "true %s", "COLUMNS": "5000"}


@contextmanager
def installed(folder: Path, echo: str) -> Iterator[Place]:
    """Have a small installation: Grafana, Prometheus and an engine answer, everything else quotes what it is asked."""
    engine = Engine(folder / "engine.sock")
    with an_installation(folder) as made:
        for service, name in (
            ("grafana", "aether-grafana"),
            ("prometheus", "aether-prom"),
            ("crm-events-sink", "crm-sink"),
        ):
            engine.has(name, service=service)
        engine.printed["1".zfill(64), "/etc/prometheus/crm-events-rules.yml"] = (0, made.rules.read_bytes(), b"")
        own = {"grafana": made.grafana.url, "prometheus": made.prometheus.url}
        try:
            yield Place(
                address=echo,
                own={group: url.removeprefix("http://") for group, url in own.items()},
                engine=engine.url,
                only_in_addresses=True,
            )
        finally:
            engine.stop()


@pytest.fixture
def nowhere(tmp_path: Path) -> Place:
    """An address at which nobody listens, and no engine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Place(address=f"127.0.0.1:{listener.getsockname()[1]}", engine=f"unix://{tmp_path}/none.sock")


@contextmanager
def echo(*, status: int, token: str = "") -> Iterator[str]:
    server = Echo(status=status, token=token)
    try:
        yield server.address
    finally:
        server.stop()


def test_nothing_is_shown_where_nobody_answers(tmp_path: Path, nowhere: Place) -> None:
    """Also where a password stands in the address and beside it; the addresses themselves are shown."""
    seen = seen_of_all_commands(tmp_path, nowhere)

    assert seen.leaks == {}
    assert f"http://{nowhere.address}" in seen.texts["stdout"]
    assert any(name.endswith(".html") for name in seen.texts)
    assert f"http://{nowhere.address}/d/" in seen.texts["processes.txt"]  # handed to the browser


@pytest.mark.parametrize(("status", "has_tokens"), [(500, False), (200, False), (500, True)])
def test_nothing_is_shown_where_every_request_is_quoted(tmp_path: Path, status: int, *, has_tokens: bool) -> None:
    """By an error page, or by a proxy's page with status 200."""
    with echo(status=status) as address:
        place = Place(address=address, engine=f"tcp://{address}", only_in_addresses=True, has_tokens=has_tokens)
        seen = seen_of_all_commands(tmp_path, place)

    assert seen.leaks == {}
    assert "***" in seen.texts["stdout"]


def test_nothing_is_shown_by_an_installation_that_answers(tmp_path: Path) -> None:
    """Setup writes and undoes, traffic sends, verify looks at each hop. The token is a secret as well."""
    canaries = Canaries()
    canaries.secret("the token")
    token = f"{HEADER}.{CLAIMS}.{canaries.cores['the token']}"
    with echo(status=500, token=token) as address, installed(tmp_path, address) as place:
        seen = seen_of_all_commands(tmp_path, place, canaries=canaries)

    assert seen.leaks == {}
    for said in ("***", "rolled_back", "lead 7", f"http://{place.own['grafana']}", f"http://{place.own['prometheus']}"):
        assert said in seen.texts["stdout"], said


def test_nothing_is_shown_by_an_error_that_nobody_foresaw(tmp_path: Path, nowhere: Place) -> None:
    """Its trace is kept, and quotes the address that was asked."""
    seen = seen_of_all_commands(tmp_path, nowhere, way="unforeseen")

    traces = [text for name, text in seen.texts.items() if "defects" in name]
    assert seen.leaks == {}
    assert traces
    assert all("ZeroDivisionError" in trace and nowhere.address in trace for trace in traces)


def test_addresses_that_are_not_split_are_caught(tmp_path: Path) -> None:
    """Negative control: the screen, the JSON, the runs, the report and the browser show them."""
    with echo(status=500, token=f"{HEADER}.{CLAIMS}.x") as address, installed(tmp_path, address) as place:
        leaks = seen_of_all_commands(tmp_path, place, way="unsplit").leaks

    assert {"stdout", "processes.txt"} <= leaks.keys()
    assert any(name.endswith(".jsonl") for name in leaks)
    assert any(name.endswith(".html") for name in leaks)
    assert {"prometheus.url", "alertmanager.url", "grafana.url", "sink.metrics_url"} <= set().union(*leaks.values())


@pytest.mark.parametrize("has_tokens", [False, True])
def test_answers_that_are_not_redacted_are_caught(tmp_path: Path, *, has_tokens: bool) -> None:
    """Negative control: passwords in forms, in base64, and in queries; tokens."""
    with echo(status=500) as address:
        place = Place(address=address, engine=f"tcp://{address}", only_in_addresses=True, has_tokens=has_tokens)
        leaks = seen_of_all_commands(tmp_path, place, way="unredacted").leaks

    sent = {"grafana.token", "alertmanager.token"} if has_tokens else {"grafana.url", "alertmanager.url"}
    assert {"keycloak.password", *sent} <= set().union(*leaks.values())


@pytest.mark.parametrize(
    ("group", "setting"),
    [
        (group, name)
        for group, kind in setting_groups().items()
        for name in kind.model_fields
        if name.endswith(("url", "docker_host", "bootstrap"))
    ],
)
def test_every_address_moves_a_password_or_refuses_it(group: str, setting: str) -> None:
    """Also a setting that is added tomorrow."""
    kind = setting_groups()[group]
    canaries = Canaries()
    address = f"http://ops:{quote(canaries.secret(setting), safe='')}@127.0.0.1:1"

    loaded = outcome(lambda: kind(**{setting: address}))

    assert canaries.found_in(loaded) == set()


def outcome(make: Callable[[], Group]) -> str:
    """Return what can be printed of a group, or of the error that refuses it."""
    try:
        group = make()
    except (UsageError, ValueError) as error:
        return f"{error} {error!r}"
    return f"{group} {group!r} {group.model_dump()}"


STACK_ALONE = {"demo", "stack.up", "stack.down", "stack.break", "stack.mend"}
"""They work on a stack that they start themselves, whose settings hold no secret of ours."""


def test_every_command_is_tried() -> None:
    """A command that is added must be added to what is searched for secrets."""
    tried = {line.split()[0] for line in (*COMMANDS, *WITHOUT_TARGET)}
    known = {name for name in namespace.task_names if not name.startswith("dev.") and name != "test"}

    assert known - STACK_ALONE == tried
