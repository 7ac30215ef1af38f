"""Bad input through the real command: three parts, the exit code, no traceback, and no file touched.

Every case runs twice at once, with `--json` and without, in two working directories over the same files.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runbook.runs.new_run import begin_run
from tests.installation import Installation, an_installation, looks_of
from tests.loopback import Loopback, Reply
from tests.schema import validate

PROGRAM = Path(sys.executable).parent / "crm-runbook"
HTML = Reply(200, b"<html><title>Welcome to the proxy</title></html>", "text/html")
DAC_OVERRIDE, DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


@dataclass
class Scene:
    """What a case may spoil: the files, the environment, the systems and the process itself."""

    installed: Installation
    folders: list[Path]
    system: Loopback
    environment: dict[str, str] = field(default_factory=dict)
    in_child: Callable[[], None] | None = None
    closed: list[tuple[Path, int]] = field(default_factory=list)
    """What has other rights while a command runs: who looks at it before and after may read it."""

    @contextmanager
    def shut(self) -> Iterator[None]:
        before = [(path, path.stat().st_mode) for path, _ in self.closed]
        for path, mode in self.closed:
            path.chmod(mode)
        try:
            yield
        finally:
            for path, mode in before:
                path.chmod(mode)

    def settings(self, text: str) -> None:
        for folder in self.folders:
            (folder / "runbook.toml").write_text(text, encoding="utf-8")

    def dashboard(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the dashboard as a document."""
        loaded = json.loads(self.installed.dashboard.read_text("utf-8-sig"))
        change(loaded)
        self.installed.dashboard.write_text(json.dumps(loaded, indent=4), encoding="utf-8")

    def system_at(self, variable: str, reply: Reply) -> None:
        """Let a small server answer everything that one of the systems is asked."""
        self.system.routes["*"] = reply
        self.environment[variable] = self.system.url


@dataclass(frozen=True)
class Case:
    """`arguments` of the command, how the scene is spoilt, and what must be said."""

    name: str
    arguments: str
    spoil: Callable[[Scene], object]
    seen: str
    code: int = 1
    keeps_times: bool = True


def write(path: Callable[[Installation], Path], content: bytes) -> Callable[[Scene], object]:
    return lambda scene: path(scene.installed).write_bytes(content)


def dashboard_of(installed: Installation) -> Path:
    return installed.dashboard


def rules_of(installed: Installation) -> Path:
    return installed.rules


def take_19_away(document: dict[str, Any]) -> None:
    document["panels"] = [panel for panel in document["panels"] if panel["id"] != 19]


def take_20(document: dict[str, Any]) -> None:
    document["panels"][-1]["id"] = 20


def rule_elsewhere(scene: Scene) -> None:
    """Paste the alert into the first group, with another expression."""
    text = scene.installed.rules.read_text("utf-8")
    rule = "      - alert: CrmEventsSinkDown\n        expr: up == 0\n"
    first = text.index("    rules:\n") + len("    rules:\n")
    scene.installed.rules.write_text(text[:first] + rule + text[first:], encoding="utf-8")


def rule_without_expression(scene: Scene) -> None:
    """Add a group to the end in which somebody forgot the expression: it parses, and nothing of the file is loaded."""
    with scene.installed.rules.open("a", encoding="utf-8") as file:
        file.write("\n  - name: theirs\n    rules:\n      - alert: Theirs\n")


def key_twice(scene: Scene) -> None:
    text = scene.installed.rules.read_text("utf-8")
    scene.installed.rules.write_text(
        text.replace("        expr: ", "        expr: up\n        expr: ", 1), encoding="utf-8"
    )


def named_pipe(scene: Scene) -> None:
    scene.installed.dashboard.unlink()
    os.mkfifo(scene.installed.dashboard)


def link_to_nowhere(scene: Scene) -> None:
    scene.installed.dashboard.unlink()
    scene.installed.dashboard.symlink_to("not here.json")


def name_of_two_lines(scene: Scene) -> None:
    scene.environment["RUNBOOK_FILES_DASHBOARD"] = str(scene.installed.folder / "a b\nc.json")


def as_rows(document: dict[str, Any]) -> None:
    document["rows"] = [{"panels": document.pop("panels")}]


def as_resource(document: dict[str, Any]) -> None:
    spec = dict(document)
    document.clear()
    document |= {"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "spec": spec}


def as_answer(document: dict[str, Any]) -> None:
    dashboard = dict(document)
    document.clear()
    document |= {"dashboard": dashboard, "meta": {"slug": "crm"}}


def without_root_rights() -> None:
    """Take from a root process what lets it write and read files against their permissions."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


def protect(mode: int, path: Callable[[Scene], list[Path]]) -> Callable[[Scene], None]:
    def spoil(scene: Scene) -> None:
        scene.closed += [(one, mode) for one in path(scene)]
        scene.in_child = without_root_rights

    return spoil


def unreadable_settings(scene: Scene) -> None:
    scene.settings("")
    protect(0o000, lambda scene: [folder / "runbook.toml" for folder in scene.folders])(scene)


def full_disk(scene: Scene) -> None:
    """A limit of the kernel on the size of a file plays the full disk: neither the dashboard nor its copy has room."""
    size = scene.installed.dashboard.stat().st_size
    scene.in_child = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))


def full_disk_for_the_record(scene: Scene) -> None:
    scene.in_child = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def no_engine(scene: Scene) -> None:
    scene.environment["RUNBOOK_RUNTIME_DOCKER_HOST"] = "unix:///nonexistent/docker.sock"


def no_files_named(scene: Scene) -> None:
    del scene.environment["RUNBOOK_FILES_MONITORING_DIR"]


def no_jwt(scene: Scene) -> None:
    scene.system_at("RUNBOOK_KEYCLOAK_URL", Reply(200, {"access_token": "opaque", "token_type": "Bearer"}))


def error_body(scene: Scene) -> None:
    answer = {"status": "error", "errorType": "unavailable", "error": "TSDB not ready"}
    scene.system_at("RUNBOOK_PROMETHEUS_URL", Reply(200, answer))


def huge_page(scene: Scene) -> None:
    """A run to verify, and a metrics page of 100 MB."""
    scene.system_at("RUNBOOK_SINK_METRICS_URL", Reply(200, b"# comment\n" * 10_000_000, "text/plain"))
    scene.environment["RUNBOOK_PROMETHEUS_URL"] = "http://127.0.0.1:1"
    scene.environment["RUNBOOK_GRAFANA_URL"] = "http://127.0.0.1:1"
    at = datetime.now(UTC)
    lead = {"kind": "lead", "id": 1, "tenant_id": "acme", "topic": "apexflow.leads.created", "label": "x"}
    for folder in scene.folders:
        record = begin_run(folder / ".runbook", task="traffic", target="live")
        record.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
        record.append("created", lead | {"sent_at": at, "answered_at": at, "status": 200})


def nothing(_: Scene) -> None:
    """The options alone are wrong."""


WRITE = "setup --no-restart --yes"


def no_engine_no_files(scene: Scene) -> None:
    no_engine(scene)
    no_files_named(scene)


CASES = (
    Case("dashboard missing", WRITE, lambda scene: scene.installed.dashboard.unlink(), "No such file"),
    Case("dashboard is a folder", f"{WRITE} --dashboard .", nothing, "not a regular file"),
    Case("dashboard empty", WRITE, write(dashboard_of, b""), ""),
    Case("dashboard not JSON", WRITE, write(dashboard_of, b'{"panels": [}'), ""),
    Case("dashboard nested", WRITE, write(dashboard_of, b'{"panels": ' + b"[" * 100_000), "nested too deeply"),
    Case("dashboard of digits", WRITE, write(dashboard_of, b'{"version": ' + b"1" * 100_000 + b"}"), ""),
    Case("rules nested", WRITE, write(rules_of, b"groups: " + b"[" * 10_000), ""),
    Case("rules of digits", WRITE, write(rules_of, b"groups: " + b"1" * 100_000), ""),
    Case("rules in a circle", WRITE, write(rules_of, b"groups: &a [*a]"), ""),
    Case("dashboard a JSON list", WRITE, write(dashboard_of, b"[]\n"), ""),
    Case("dashboard without panels", WRITE, write(dashboard_of, b'{"uid": "crm-events-pipeline"}\n'), "panels"),
    Case("dashboard without panel 19", WRITE, lambda scene: scene.dashboard(take_19_away), "19"),
    Case("id 20 taken by another panel", WRITE, lambda scene: scene.dashboard(take_20), "20"),
    Case("dashboard read-only", WRITE, protect(0o444, lambda scene: [scene.installed.dashboard]), "Permission denied"),
    Case(
        "rules read-only",
        WRITE,
        protect(0o444, lambda scene: [scene.installed.rules]),
        "Permission denied",
    ),
    Case(
        "rules listed and unreadable",
        WRITE,
        protect(0o000, lambda scene: [scene.installed.rules]),
        "Permission denied",
    ),
    Case(
        "the dashboard's folder forbidden",
        WRITE,
        protect(0o600, lambda scene: [scene.installed.dashboard.parent]),
        "cannot be followed: Permission denied",
        4,
    ),
    Case("dashboard a named pipe", WRITE, named_pipe, "this is a named pipe, not a regular file"),
    Case("dashboard a link to nowhere", WRITE, link_to_nowhere, "which is not there", 4),
    Case("dashboard a device", f"{WRITE} --dashboard /dev/null", nothing, "this is a device, not a regular file"),
    Case("a name of two lines", WRITE, name_of_two_lines, r"/a b\x0ac.json'"),
    Case("a name like an option", f"{WRITE} --dashboard=-x.json", nothing, "/-x.json"),
    Case("rules that Prometheus refuses", WRITE, rule_without_expression, "Prometheus would refuse this rules file"),
    Case("rules with a key twice", WRITE, key_twice, "the key expr is there twice"),
    Case("rules: null", WRITE, write(rules_of, b"groups: null\n"), "`groups` is empty"),
    Case("dashboard of Grafana 4", WRITE, lambda scene: scene.dashboard(as_rows), "the format before Grafana 5"),
    Case(
        "dashboard as a resource", WRITE, lambda scene: scene.dashboard(as_resource), "the dashboard is in its `spec`"
    ),
    Case("dashboard as an answer", WRITE, lambda scene: scene.dashboard(as_answer), "an answer of Grafana's API"),
    Case("rules missing", WRITE, lambda scene: scene.installed.rules.unlink(), "No such file"),
    Case("rules not YAML", WRITE, write(rules_of, b"groups: [\n"), ""),
    Case("rules without the group", WRITE, write(rules_of, b"groups:\n  - name: other\n    rules: []\n"), "crm_events"),
    Case("rule with other content elsewhere", WRITE, rule_elsewhere, "CrmEventsSinkDown"),
    Case("disk full while writing", WRITE, full_disk, "Cannot write the run record"),
    Case("disk full for the record", WRITE, full_disk_for_the_record, "Cannot write the run record"),
    Case("nobody can be asked", "setup --no-restart", nothing, "This needs an answer", 4),
    Case("unknown target", "setup --target staging", nothing, "no target 'staging'", 4),
    Case("stack not up", "verify --target local", nothing, "not up", 4),
    Case("runbook.toml not TOML", "setup", lambda scene: scene.settings("[targets.live"), "cannot be read", 4),
    Case(
        "runbook.toml nested",
        "setup",
        lambda scene: scene.settings(f"a = {'[' * 100_000}"),
        "they are nested too deeply",
        4,
    ),
    Case("runbook.toml of digits", "setup", lambda scene: scene.settings(f"a = {'1' * 100_000}"), "cannot be read", 4),
    Case(
        "certificate missing",
        "setup",
        lambda scene: scene.settings('[targets.live.grafana]\nca_file = "/nonexistent/ca.pem"'),
        "ca_file names /nonexistent/ca.pem, which cannot be read: No such file",
        4,
    ),
    Case("runbook.toml unreadable", "setup", unreadable_settings, "cannot be read", 4),
    Case("wrong type", "setup", lambda scene: scene.settings("[targets.live.kafka]\ngroup = 3"), "must be text", 4),
    Case("leads -1", "traffic --leads -1", nothing, "--leads is -1", 4),
    Case("leads abc", "traffic --leads abc", nothing, "--leads is 'abc'", 4),
    Case("rate 0", "traffic --rate 0", nothing, "--rate is '0'", 4),
    Case("timeout soon", "verify --timeout soon", nothing, "--timeout is 'soon'", 4),
    Case("unknown run", "verify --run 20990101-000000-0000", nothing, "no run '20990101-000000-0000'", 4),
    Case("nothing to roll back", "rollback --yes", nothing, "has written anything"),
    Case("no Docker engine", "setup --yes", no_engine, "Docker"),
    Case("no Docker engine, no files named", "setup --yes", no_engine_no_files, "Docker"),
    Case("Grafana answers HTML", "setup --yes", lambda s: s.system_at("RUNBOOK_GRAFANA_URL", HTML), "Welcome to the"),
    Case("Prometheus answers HTML", "setup --yes", lambda s: s.system_at("RUNBOOK_PROMETHEUS_URL", HTML), "Welcome to"),
    Case("Prometheus answers 200 with an error", "setup --yes", error_body, "TSDB not ready"),
    Case(
        "Keycloak answers HTML",
        "traffic",
        lambda s: s.system_at("RUNBOOK_KEYCLOAK_URL", HTML),
        "200 HTML page: Welcome",
    ),
    Case("token no JWT", "traffic", no_jwt, "not a JWT"),
    Case("metrics page of 100 MB", "verify --timeout 1", huge_page, "more than 20,000,000 bytes", 3),
)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folders = [tmp_path / "with json", tmp_path / "without"]
    for folder in folders:
        folder.mkdir()
    with an_installation(tmp_path) as installed, Loopback() as system:
        made = Scene(installed, folders, system)
        made.environment |= {
            "RUNBOOK_FILES_MONITORING_DIR": str(installed.folder),
            "RUNBOOK_GRAFANA_URL": installed.grafana.url,
            "RUNBOOK_PROMETHEUS_URL": installed.prometheus.url,
            "RUNBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        }
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(scene: Scene, case: Case) -> None:
    """It is said what was seen, where, and what to do; the exit code is the promised one; the files are as before."""
    case.spoil(scene)
    watched = [path for path in (scene.installed.dashboard, scene.installed.rules) if path.is_file()]
    before = looks_of(*watched)

    with scene.shut():
        runs = [
            ended(scene, folder, case.arguments) for folder in scene.folders
        ]  # one by one: they lock the same files
    (json_out, json_err), (text_out, text_err) = ((run.stdout, run.stderr) for run in runs)

    assert [run.returncode for run in runs] == [case.code, case.code], text_out + text_err + json_err
    document = json.loads(json_out)
    validate(document)
    assert document["exit_code"] == case.code
    for parts in problems(document):
        assert case.seen in parts["seen"] + parts["where"]
        assert parts["where"]
        assert parts["fix"]
    shown = " ".join((text_out + text_err).split())
    assert "Fix: " in shown
    assert " ".join(case.seen.split()) in shown
    assert "Traceback" not in text_out + text_err + json_err
    assert "defect of this tool" not in shown
    after = looks_of(*watched)
    if not case.keeps_times:
        before, after = ([(inode, 0, content) for inode, _, content in looks] for looks in (before, after))
    assert after == before


def problems(document: dict[str, Any]) -> list[dict[str, str]]:
    """Return the three parts of the error; of a run that was followed, those of the hop that could not be looked at."""
    hops = [step for step in document["steps"] if step["step"] == "sink metrics"]
    if not hops:
        return [document["error"]]
    (step,) = hops
    seen, _, fix = step["reason"].partition(". Fix: ")
    return [{"seen": seen, "where": step["evidence"][0]["source"], "fix": fix}]


def ended(scene: Scene, folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """Give the command as an operator would, in a folder of its own."""
    unwanted = ("RUNBOOK_", "DOCKER_", *(["COVERAGE_"] if scene.in_child else []))  # limits would hit coverage's files
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    is_json = folder == scene.folders[0]
    return subprocess.run(
        [PROGRAM, *arguments.split(), *(["--json"] if is_json else [])],
        cwd=folder,
        env={**kept, **scene.environment, "COLUMNS": "400", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=scene.in_child,
    )
