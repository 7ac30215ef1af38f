"""Which images the stack in containers has: those of the compose file, unless a variable names another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.commands.run_context import RunContext
from runbook.commands.stack.options import UpOptions
from runbook.commands.stack.steps import up
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.local_stack.containers import NAMES
from runbook.local_stack.images import Image, named_images, pull_missing, variables
from runbook.observer import NullObserver
from tests.command_line import CHECKOUT

COMPOSE = CHECKOUT / "monitoring/compose.yaml"
# Has the images in the file `there`, pulls every one but `broken`, and notes the calls.
DOCKER = """#!/bin/sh
here=${0%/*}
echo "$*" >>"$here/calls"
case $1 in
image) ! grep -qxF "$4" "$here/there" || echo 0123456789ab ;;
pull) [ "$3" != broken:1 ] || { echo "manifest unknown" >&2; exit 1; } ;;
esac
"""
Engine = Callable[..., Path]


class Listener(NullObserver):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def says(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Put an engine on PATH that has some images; return the file of the calls."""

    def put(*there: str) -> Path:
        (tmp_path / "docker").write_text(DOCKER)
        (tmp_path / "docker").chmod(0o755)
        (tmp_path / "there").write_text("".join(f"{name}\n" for name in there))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return tmp_path / "calls"

    return put


def image(name: str) -> Image:
    return Image(name=name, variable="GRAFANA_IMAGE")


def test_images_are_the_official_ones_unless_told_otherwise() -> None:
    """An empty variable is none, as Compose has it."""
    official = named_images(COMPOSE, {"GRAFANA_IMAGE": ""})
    other = named_images(COMPOSE, {"GRAFANA_IMAGE": "registry.example/grafana:12"})

    assert official["grafana"] == Image(name="grafana/grafana:11.2.0", variable="GRAFANA_IMAGE")
    assert other["grafana"] == Image(name="registry.example/grafana:12", variable="GRAFANA_IMAGE")
    assert {**other, "grafana": None} == {**official, "grafana": None}
    assert set(NAMES) <= set(official)


def test_every_variable_of_the_compose_file_is_known() -> None:
    assert {"GRAFANA_IMAGE", "KAFKA_PORT", "APEXFLOW_DATABASE_URL", "POSTGRES_DSN"} <= variables(COMPOSE)


def test_what_the_engine_has_is_not_pulled(engine: Engine) -> None:
    calls, heard = engine("postgres:16", "aetherlink/gateway:local"), Listener()

    pull_missing([image("postgres:16"), image("aetherlink/gateway:local"), image("traefik:v3.1")], heard)

    assert [call for call in calls.read_text().splitlines() if call.startswith("pull")] == ["pull --quiet traefik:v3.1"]
    assert heard.lines == ["pulling traefik:v3.1 ..."]


def test_images_of_aetherlink_are_never_asked_of_a_registry(engine: Engine) -> None:
    """Whoever owned that name there would run his program here. Nothing else is pulled before that is said."""
    calls = engine()

    with pytest.raises(UsageError, match="does not have aetherlink/gateway:local, and") as caught:
        pull_missing([image("postgres:16"), image("aetherlink/gateway:local")], NullObserver())

    assert "GRAFANA_IMAGE=IMAGE inv stack.up --docker" in caught.value.fix
    assert "pull" not in calls.read_text()


def test_image_that_cannot_be_pulled_is_named_with_its_variable(engine: Engine) -> None:
    engine()

    with pytest.raises(RunbookError, match="broken:1 could not be pulled: manifest unknown") as caught:
        pull_missing([image("broken:1")], NullObserver())

    assert caught.value.where == "GRAFANA_IMAGE of monitoring/compose.yaml"


@pytest.mark.parametrize(("real", "named"), [("kafka=real", "--with"), ("", "--real")])
def test_real_programs_are_chosen_by_their_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: str, named: str
) -> None:
    """Refused before anything else is looked for: no engine is asked."""
    monkeypatch.setenv("PATH", "")

    context = RunContext("stack.up", screen=NullObserver(), target="docker", directory=tmp_path, is_recorded=False)
    done = up(context, UpOptions(docker=True, with_=real, real=not real))

    assert done.exit_code == ExitCode.USAGE
    assert done.problem
    assert done.problem.where == f"option --docker beside {named}"
