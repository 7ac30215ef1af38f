"""`init` finds out what differs from the defaults, keeps what an operator has written, and lists what is in force."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runbook.commands.init.survey import Found, Survey
from runbook.commands.init.toml_text import must_hold, whole_text, with_lines
from runbook.errors import UsageError
from runbook.settings import Target, load_target
from runbook.systems.docker.listing import containers
from runbook.systems.runtime_settings import RuntimeSettings
from tests.command_line import CHECKOUT, Run, given
from tests.installation import RULES, Installation
from tests.loopback import Reply
from tests.schema import validate
from tests.small_engine import Engine

SECRET = "correct-horse"  # noqa: S105 - what must never be shown
PROJECT_KEY = "com.docker.compose.project"
PROJECT = {
    "com.docker.compose.service": "grafana",
    PROJECT_KEY: "shop",
    "com.docker.compose.project.config_files": "/srv/shop/compose.yaml",
    "com.docker.compose.project.working_dir": "/srv/shop",
}
RULES_INSIDE = f"/etc/prometheus/rules/{RULES}"
_CLOSED = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings of whoever runs the tests; systems that no test is about are at a closed port."""
    for name in [name for name in os.environ if name.upper().startswith(("RUNBOOK_", "DOCKER_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    made = Engine(tmp_path / "d.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", made.url)
    yield made
    made.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The operator's working directory, away from the files."""
    made = tmp_path / "work here"
    made.mkdir()
    return made


def have_containers(engine: Engine, installed: Installation, *, mounts: bool = True) -> None:
    """Recorded answers of an engine: two projects with a Grafana, a Prometheus with its rules at a path of its own."""
    port = urlsplit(installed.grafana.url).port or 0
    engine.has(
        "shop-grafana-1",
        image="grafana/grafana:11.2.0",
        labels=PROJECT,
        mounts={"/var/lib/grafana/dashboards": str(installed.dashboard.parent)} if mounts else {},
        published={3000: port},
    )
    engine.has("other-grafana-1", image="docker.io/grafana/grafana", labels=PROJECT | {PROJECT_KEY: "other"})
    engine.has(
        "aether-prom",
        image="prom/prometheus:v2.54.1@sha256:0",
        mounts={RULES_INSIDE: str(installed.rules)} if mounts else {},
        published={9090: urlsplit(installed.prometheus.url).port or 0},
    )
    installed.rule_files = ("/etc/prometheus/rules/*.yml",)
    source = {"uid": "P1", "name": "Prom main", "type": "prometheus", "url": "http://prom", "isDefault": False}
    loki = {"uid": "L1", "name": "Logs", "type": "loki", "url": "http://loki", "isDefault": True}
    installed.grafana.routes["GET /api/datasources"] = Reply(200, [loki, source])
    scraped = {
        "labels": {"job": "sink"},
        "discoveredLabels": {},
        "scrapePool": "sink",
        "scrapeUrl": "http://aether-crm-events-sink:9105/metrics",
        "globalUrl": "http://aether-crm-events-sink:9105/metrics",
        "lastError": "",
        "lastScrape": "2025-11-03T19:48:51.465169Z",
        "lastScrapeDuration": 0.01,
        "health": "up",
        "scrapeInterval": "10s",
        "scrapeTimeout": "10s",
    }
    body = {"status": "success", "data": {"activeTargets": [scraped], "droppedTargets": []}}
    installed.prometheus.routes["GET /api/v1/targets"] = Reply(200, body)


def done(folder: Path, *arguments: str) -> Run:
    run = given(folder, *arguments)
    validate(run.document)
    return run


def found(run: Run) -> dict[str, str]:
    return {f"{one['group']}.{one['key']}": one["value"] for one in run.document["found"]}


def unknown(run: Run) -> str:
    return "\n".join(f"{one['seen']} {one['where']} {one['fix']}" for one in run.document["unknown"])


def test_what_init_wrote_is_what_the_other_commands_need(engine: Engine, installed: Installation, folder: Path) -> None:
    """Names, ports, the path inside, the datasource and the job; then check accepts them and setup plans with them."""
    have_containers(engine, installed)

    written = done(folder, "init", "--yes")

    assert (written.code, written.document["outcome"]) == (0, "changed"), written.document
    grafana, prometheus = (urlsplit(one.url).port for one in (installed.grafana, installed.prometheus))
    assert found(written) == {
        "grafana.container": "shop-grafana-1",
        "grafana.url": f"http://localhost:{grafana}",
        "grafana.datasource": "Prom main",
        "prometheus.url": f"http://localhost:{prometheus}",
        "prometheus.job": "sink",
        "prometheus.rules_inside": RULES_INSIDE,
    }
    text = (folder / "runbook.toml").read_text(encoding="utf-8")
    assert "/srv/shop/compose.yaml" in text
    tables = tomllib.loads(text)["targets"]["live"]
    given_keys = {f"{group}.{key}" for group, table in tables.items() for key in table}
    assert given_keys == set(found(written)), "only what differs from the defaults is set"

    checked = done(folder, "init", "--check")
    assert (checked.code, checked.document["wrong"]) == (0, [])
    rows = {f"{one['group']}.{one['key']}": one for one in checked.document["settings"]}
    assert rows["grafana.container"]["source"] == "file"
    assert rows["grafana.container"]["place"].startswith("[targets.live.grafana] container in ")
    assert rows["grafana.service"]["source"] == "default"

    planned = done(folder, "setup", "--dry-run")
    assert (planned.code, planned.document["outcome"]) == (2, "pending"), planned.document
    assert "CrmEventsSinkDown" in planned.document["diff"]

    again = done(folder, "init", "--yes")
    assert (again.code, again.document["outcome"], again.document["found"]) == (0, "unchanged", [])
    assert (folder / "runbook.toml").read_text(encoding="utf-8") == text


def test_what_nothing_tells_is_said_with_a_way_to_find_out(
    engine: Engine, installed: Installation, folder: Path
) -> None:
    """Without mounts, two Grafanas are listed; parts that run in no container are named."""
    have_containers(engine, installed, mounts=False)

    run = done(folder, "init", "--dry-run")

    assert run.code == 2
    said = unknown(run)
    assert "Grafana may be one of 2 containers: other-grafana-1 (grafana, running, project other)" in said
    assert "set RUNBOOK_GRAFANA_CONTAINER to the name of the one that is meant" in said
    assert "Keycloak runs in no container" in said
    assert "The rules file was not found" in said
    assert "grafana.container" not in found(run)
    assert not (folder / "runbook.toml").exists()


def test_a_stopped_container_is_not_a_missing_port(engine: Engine, folder: Path) -> None:
    engine.has("aether-prom", image="prom/prometheus", state="exited")

    assert "aether-prom is exited: it has no ports now" in unknown(done(folder, "init", "--dry-run"))


def test_the_port_of_kafka_that_is_its_listener_is_found_or_asked_for(engine: Engine, folder: Path) -> None:
    """Redpanda's own admin ports are no listeners; two that may be are listed."""
    number = engine.has("kafka", image="redpandadata/redpanda:v24", published={9644: 1, 19092: 2})
    assert found(done(folder, "init", "--dry-run"))["kafka.bootstrap"] == "localhost:2"

    ports = engine.inspections[number]["NetworkSettings"]["Ports"]
    ports["9092/tcp"] = [{"HostIp": "127.0.0.1", "HostPort": "3"}]
    run = done(folder, "init", "--dry-run")
    assert "kafka.bootstrap" not in found(run)
    assert "it publishes localhost:2, localhost:3" in unknown(run)


def test_an_installation_without_docker_is_one_of_files_and_addresses(
    installed: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services answer at the addresses that are set, no engine is there, and the files are beside the rules file."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", installed.grafana.url)
    monkeypatch.setenv("RUNBOOK_PROMETHEUS_URL", installed.prometheus.url)
    installed.rules_file = str(installed.rules)

    written = done(folder, "init", "--yes")

    assert written.code == 0, written.document
    assert found(written) == {"runtime.kind": "none", "files.monitoring_dir": str(installed.folder)}
    assert "RUNBOOK_SINK_LOG_FILE" in unknown(written)
    planned = done(folder, "setup", "--dry-run")
    assert planned.code == 2, planned.document
    assert done(folder, "init", "--yes").document["outcome"] == "unchanged"


def test_an_engine_that_may_not_be_asked_is_no_proof_of_its_absence(
    engine: Engine, installed: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy before the engine refuses the list: whether there are containers is not known."""
    engine.failure = (403, {"message": "no"})
    monkeypatch.setenv("RUNBOOK_PROMETHEUS_URL", installed.prometheus.url)

    run = done(folder, "init", "--dry-run")

    assert "runtime.kind" not in found(run)
    assert "does not allow this (list of containers): 403" in unknown(run)


def test_nothing_is_written_where_nothing_was_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")
    for group, key in (*((one, "URL") for one in ("KEYCLOAK", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")),
                       ("SINK", "METRICS_URL")):  # fmt: skip
        monkeypatch.setenv(f"RUNBOOK_{group}_{key}", _CLOSED)
    monkeypatch.setenv("RUNBOOK_KAFKA_BOOTSTRAP", "127.0.0.1:1")

    run = done(folder, "init", "--yes")

    assert (run.code, run.document["outcome"]) == (3, "inconclusive")
    assert "The Docker engine cannot be reached" in unknown(run)
    assert "RUNBOOK_KAFKA_BOOTSTRAP is its outside listener" in unknown(run)
    assert list(folder.iterdir()) == []


def test_an_existing_file_gets_lines_and_loses_none(engine: Engine, installed: Installation, folder: Path) -> None:
    """What the operator has set stays, comments and line ends too; the difference shows no line of his."""
    have_containers(engine, installed)
    own = (
        "\ufeff# ours\r\n[targets.live.grafana] # the shop's\r\n"
        f'password = "{SECRET}"\r\ndatasource = "Mine"\r\n[targets.other.kafka]\r\nbootstrap = "x:1"'
    )
    path = folder / "runbook.toml"
    path.write_bytes(own.encode())
    path.chmod(0o600)

    shown = done(folder, "init", "--dry-run")
    assert (shown.code, path.read_bytes()) == (2, own.encode())
    assert SECRET not in str(shown.document)
    refused = done(folder, "init")
    assert (refused.code, path.read_bytes()) == (4, own.encode()), "nobody can be asked here"
    written = done(folder, "init", "--yes")

    assert written.code == 0, written.document
    text = path.read_bytes().decode("utf-8")
    lines = text.split("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert [line for line in own.split("\r\n") if line not in lines] == []
    settings = load_target("live", directory=folder)
    assert (settings.grafana.container, settings.grafana.datasource) == ("shop-grafana-1", "Mine")
    assert load_target("other", directory=folder).kafka.bootstrap == "x:1"


def test_a_target_that_is_new_is_added_and_one_of_the_stack_is_not(
    engine: Engine, installed: Installation, folder: Path
) -> None:
    have_containers(engine, installed)

    assert done(folder, "init", "--yes", "--target", "staging").code == 0
    assert load_target("staging", directory=folder).grafana.container == "shop-grafana-1"
    assert done(folder, "init", "--yes", "--target", "local").code == 4
    assert done(folder, "init", "--yes", "--target", "a.b").code == 4


def test_the_proposal_alone_is_on_standard_output(engine: Engine, installed: Installation, folder: Path) -> None:
    """`inv init --print > runbook.toml` is a file that loads; nothing else is written."""
    have_containers(engine, installed)

    run = subprocess.run(
        [sys.executable, "-m", "runbook", "init", "--print"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert tomllib.loads(run.stdout)["targets"]["live"]["grafana"]["container"] == "shop-grafana-1"
    assert "init on live: ok" in run.stderr
    assert list(folder.iterdir()) == []


def test_check_lists_all_that_is_wrong_and_hides_every_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "runbook.toml").write_text(
        f'[targets.live.grafana]\nurll = "x"\npassword = "{SECRET}"\n[targets.live.runs]\nkeep = 0\nkeep_days = -1\n'
        '[targets.live.files]\nrules = "/nope"\n[targets.live.foo]\n[targets.live.kafka]\noptions_file = "nope"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_CLIENT_SECRET", SECRET)

    run = done(folder, "init", "--check")

    assert run.code == 4
    wrong = [one["where"].partition(" in ")[0] for one in run.document["wrong"]]
    assert wrong == [
        "[targets.live.foo]",
        "[targets.live.kafka] options_file",
        "[targets.live.grafana] urll",
        "[targets.live.runs] keep",
        "[targets.live.runs] keep_days",
        "[targets.live.files] rules",
    ]
    rows = {f"{one['group']}.{one['key']}": one for one in run.document["settings"]}
    assert rows["keycloak.client_secret"] | {"place": ""} == {
        "group": "keycloak", "key": "client_secret", "value": "set", "source": "environment", "place": "",
    }  # fmt: skip
    assert (rows["grafana.password"]["value"], rows["keycloak.proxy_password"]["value"]) == ("set", "unset")
    assert not {"runs.keep", "kafka.options"} & rows.keys(), "what could not be read is not shown as its default"
    assert SECRET not in str(run.document)


def test_check_names_the_variable_that_nothing_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_GRAFANA_PASWORD", SECRET)

    run = done(folder, "init", "--check")

    assert (run.code, len(run.document["wrong"])) == (4, 1)
    assert run.document["wrong"][0]["fix"].startswith("set RUNBOOK_GRAFANA_PASSWORD instead")


def test_check_of_a_stack_says_that_its_file_was_read(folder: Path) -> None:
    """Its values are no defaults, though a fix names the variable."""
    (folder / ".stack").mkdir()
    (folder / ".stack" / "target.toml").write_text('[grafana]\nurl = "http://a"\n', encoding="utf-8")

    run = done(folder, "init", "--check", "--target", "local")

    (row,) = [one for one in run.document["settings"] if (one["group"], one["key"]) == ("grafana", "url")]
    assert (run.code, row["source"]) == (0, "file")
    assert row["place"].startswith("[grafana] url in ")
    assert row["place"].endswith("target.toml:2")


def test_two_ways_at_once_are_refused(folder: Path) -> None:
    run = done(folder, "init", "--check", "--print")

    assert (run.code, "--print and --check do not go together" in run.document["error"]["seen"]) == (4, True)


def survey_of(*settings: Found, tables: dict[str, dict[str, str]] | None = None) -> Survey:
    survey = Survey(target=Target.from_tables("live", tables or {}, source="runbook.toml", above="targets.live."))
    survey.found.extend(settings)
    return survey


HOST = Found(group="gateway", key="host", value='a "quoted"\\name', why="seen\nthere")


def test_every_setting_stands_in_a_new_file_and_uncommented_it_loads() -> None:
    """Each comment is a line that an operator can use as it stands."""
    text = whole_text(survey_of(HOST))

    assert tomllib.loads(text)["targets"]["live"]["gateway"] == {"host": 'a "quoted"\\name'}
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.splitlines()]
    tables = tomllib.loads("\n".join(lines))["targets"]["live"]
    for group in tables.values():
        for key in [key for key in group if key.endswith(("_file", "_cert", "_key")) and key != "log_file"]:
            del group[key]  # there is no such file here
    assert Target.from_tables("live", tables, source="test").gateway.host == 'a "quoted"\\name'
    assert "password = " not in text


def test_a_password_of_the_settings_never_gets_into_a_proposal(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(SECRET, encoding="utf-8")
    tables = {"grafana": {"password_file": str(tmp_path / "one")}, "keycloak": {"password": SECRET}}

    text = whole_text(survey_of(tables=tables))

    assert f'password_file = "{tmp_path / "one"}"' in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# nothing",
        "[targets.live.gateway]\n",
        "[targets.live.gateway]",
        "[ targets . live . gateway ]\nurl = 'x'\n[targets.live.kafka]\n",
        "[targets.live]\nname = 1\n",
    ],
)
def test_lines_are_added_to_a_file_of_any_usual_form(before: str, tmp_path: Path) -> None:
    target = survey_of().target

    after = with_lines(before, target, [HOST])

    must_hold(before, after, target, [HOST], tmp_path)
    assert all(line in after.splitlines() for line in before.splitlines())


@pytest.mark.parametrize(
    "before",
    [
        "[targets]\nlive = { gateway = { url = 'x' } }\n",
        "targets.live.gateway.url = 'x'\n",
        "note = '''\n[targets.live.gateway]\n'''\n",
    ],
)
def test_a_file_of_another_form_is_refused_before_anything_is_written(before: str, tmp_path: Path) -> None:
    target = survey_of().target

    with pytest.raises(UsageError, match="nothing was written"):
        must_hold(before, with_lines(before, target, [HOST]), target, [HOST], tmp_path)


def test_a_listed_container_is_read_with_its_labels(engine: Engine) -> None:
    engine.has("shop-grafana-1", image="registry:5000/grafana/grafana:11@sha256:00", labels=PROJECT)

    (one,) = containers(RuntimeSettings(docker_host=engine.url))

    assert (one.image, one.service, one.project) == ("grafana", "grafana", "shop")
    assert (one.compose_files, one.compose_folder) == (("/srv/shop/compose.yaml",), "/srv/shop")
