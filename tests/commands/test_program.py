"""The command line as it is typed: several commands, Invoke's own options, mistakes, and who reads the output."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, an_installation, looks_of
from tests.schema import validate

PROGRAM = Path(sys.executable).parent / "inv"
_CLOSED = "http://127.0.0.1:1"


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with an_installation(tmp_path) as found:
        yield found


def typed(
    line: str, folder: Path, *, environment: dict[str, str] | None = None, answer: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Type a line in a folder; nothing of this run's own settings goes along."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOK_", "DOCKER_"))}
    kept["PATH"] = f"{PROGRAM.parent}:{kept['PATH']}"  # as in an activated environment
    return subprocess.run(
        [PROGRAM, *shlex.split(line)],
        cwd=folder,
        env={**kept, **(environment or {})},
        input=answer,
        stdin=subprocess.DEVNULL if answer is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings_of(installed: Installation) -> dict[str, str]:
    return {
        "RUNBOOK_FILES_MONITORING_DIR": str(installed.folder),
        "RUNBOOK_GRAFANA_URL": installed.grafana.url,
        "RUNBOOK_PROMETHEUS_URL": installed.prometheus.url,
        "RUNBOOK_KEYCLOAK_URL": _CLOSED,
    }


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("verfy", "inv verify"),
        ("stack.upp", "inv stack.up"),
        ("verify --tagret x", "--target"),
        ("setup --dryrun", "--dry-run"),
        ("--help verfy", "inv verify"),
        ("stack.break KC_DWN", "KC_DOWN"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_ones(tmp_path: Path, line: str, near: str) -> None:
    done = typed(line, tmp_path)

    assert done.returncode == 4
    assert near in done.stderr.partition("Fix: ")[2]
    assert "Traceback" not in done.stderr


def test_a_mistake_with_json_is_one_document(tmp_path: Path) -> None:
    done = typed("verify --json --tagret x", tmp_path)

    document = json.loads(done.stdout)
    validate(document)
    assert (document["exit_code"], document["error"]["seen"]) == (4, "There is no option --tagret")


@pytest.mark.parametrize("option", ["--echo", "--debug", "--pty", "--config x", "--warn-only", "-T 5", "--hide out"])
def test_an_option_of_invoke_that_would_not_be_heeded_is_refused(tmp_path: Path, option: str) -> None:
    """Before: it was offered, taken, and had no effect."""
    done = typed(f"{option} history", tmp_path)

    assert done.returncode == 4
    assert "means nothing here" in done.stderr


def test_dry_is_the_dry_run_of_setup(tmp_path: Path, installed: Installation) -> None:
    """`inv --dry setup --yes` writes nothing and ends as a dry run does."""
    before = looks_of(installed.dashboard, installed.rules)

    done = typed("--dry setup --yes --no-restart --datasource-uid PBFA", tmp_path, environment=settings_of(installed))

    assert done.returncode == 2, done.stderr
    assert "+++" in done.stdout
    assert looks_of(installed.dashboard, installed.rules) == before


def test_dry_of_anything_else_is_refused(tmp_path: Path) -> None:
    assert typed("--dry traffic", tmp_path).returncode == 4


def test_commands_run_in_order_until_one_fails(tmp_path: Path, installed: Installation) -> None:
    """The first one that does not end with 0 is the last, and its exit code is that of the line."""
    done = typed(
        "setup --yes --no-restart --datasource-uid PBFA traffic verify", tmp_path, environment=settings_of(installed)
    )

    assert done.returncode == 1
    ends = [line.partition(":")[0] for line in done.stdout.splitlines() if " exit code " in line]
    assert ends == ["setup on live", "traffic on live"]


def test_json_is_one_document_so_it_takes_one_command(tmp_path: Path) -> None:
    done = typed("history --json metrics --json", tmp_path)

    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert "more than one command" in document["error"]["seen"]


@pytest.mark.parametrize("line", ["--help", "--list"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_causes_no_trace(tmp_path: Path, line: str, unbuffered: str) -> None:
    """As `inv --help | head -1` does; Python writes a line at a time, or all of it at its end."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    read, write = os.pipe()
    os.close(read)  # the reader has gone before anything is written: no race about when

    done = subprocess.run(
        [PROGRAM, line], cwd=tmp_path, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_help_names_the_program_and_every_option_once(tmp_path: Path) -> None:
    done = typed("--help traffic", tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("Usage: inv traffic [--options]\n")
    assert done.stdout.count("--leads") == 1
    assert "how many leads (5)" in done.stdout


def test_a_local_stack_is_hinted_at_where_live_cannot_be_reached(tmp_path: Path) -> None:
    """After `stack.up`, the next command without a target goes to `live`, whose Docker engine is not there."""
    (tmp_path / ".stack").mkdir()
    (tmp_path / ".stack" / "target.toml").write_text("", encoding="utf-8")

    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    closed = {
        f"RUNBOOK_{name}_URL": _CLOSED for name in ("KEYCLOAK", "GATEWAY", "PROMETHEUS", "GRAFANA", "ALERTMANAGER")
    }
    ports = {"RUNBOOK_SINK_METRICS_URL": f"{_CLOSED}/metrics", "RUNBOOK_KAFKA_BOOTSTRAP": "127.0.0.1:1"}

    logs = typed("logs", tmp_path, environment=nowhere)
    diagnosis = typed("troubleshoot --timeout 3", tmp_path, environment=nowhere | closed | ports)

    assert (logs.returncode, diagnosis.returncode) == (1, 1)
    assert "a local stack is up here: inv logs --target local" in logs.stderr
    assert "a local stack is up here: inv troubleshoot --target local" in diagnosis.stdout


def test_printed_commands_name_the_target(tmp_path: Path, installed: Installation) -> None:
    (tmp_path / "runbook.toml").write_text("[targets.staging]\n", encoding="utf-8")

    done = typed("verify --target staging", tmp_path, environment=settings_of(installed))

    assert done.returncode == 1
    assert "inv setup --target staging" in done.stderr


def test_an_unknown_variable_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    """On standard error, so that it is in no document; the command goes on."""
    done = typed("history --json", tmp_path, environment={"RUNBOOK_GRAFANA_PASWORD": "x"})

    assert done.returncode == 0
    assert "RUNBOOK_GRAFANA_PASWORD" in done.stderr
    assert "RUNBOOK_GRAFANA_PASSWORD" in done.stderr
    assert json.loads(done.stdout)["outcome"] == "ok"


def test_a_password_in_the_settings_file_is_warned_about_once(tmp_path: Path) -> None:
    """On standard error, by its key."""
    text = f'[targets.live.prometheus]\nurl = "{_CLOSED}"\n[targets.live.grafana]\npassword = "correct-horse"\n'
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")

    done = typed("metrics --json", tmp_path, environment={})

    assert done.stderr.count("[targets.live.grafana] password in") == 1
    assert f"[targets.live.prometheus] url in {tmp_path / 'runbook.toml'}:2" in json.loads(done.stdout)["error"]["fix"]
    assert "correct-horse" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("traffic --leads", "--leads needs a value"),
        ("verify --run ''", "--run is empty"),
        ("unsilence --silence ''", "--silence is empty"),
        ("setup --dashboard ''", "--dashboard is empty"),
        ("logs --follow --tail 2", "--follow does not go with --tail"),
        ("logs --follow --json", "--follow does not go with --json"),
    ],
)
def test_a_value_that_is_missing_or_has_no_effect_is_refused(tmp_path: Path, line: str, said: str) -> None:
    """An unset shell variable must not mean "the newest run", nor "every silence"."""
    done = typed(line, tmp_path)

    assert done.returncode == 4
    assert said in done.stderr


def test_a_settings_file_of_invoke_is_not_read(tmp_path: Path) -> None:
    """Whatever is in the home of who runs the tool: it would mean nothing here."""
    (tmp_path / ".invoke.yaml").write_text("tasks: [not a table", encoding="utf-8")

    assert typed("history", tmp_path, environment={"HOME": str(tmp_path)}).returncode == 0


def test_a_program_that_is_not_on_the_path_is_printed_with_its_own(tmp_path: Path) -> None:
    """What is printed can be typed as it stands."""
    done = typed("verfy", tmp_path, environment={"PATH": "/usr/bin:/bin"})

    assert f"{PROGRAM} verify" in done.stderr
