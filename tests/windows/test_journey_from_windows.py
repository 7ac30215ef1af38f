"""The runbook from its first step to its rollback, by CPython for Windows, on installations that Linux runs.

The screen is that of a console with code page 1252 and 80 columns.
"""

import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.local_stack.tools import found_tools
from tests.command_line import given
from tests.containers import images_of_the_stack
from tests.engine_at_a_port import engine_at_a_port
from tests.windows.console import Console, wrongly_shown
from tests.windows.interpreter import WindowsPython

pytestmark = [pytest.mark.windows, pytest.mark.stack, pytest.mark.timeout(600)]

HOST_Y = Path("/run/desktop/mnt/host/y")
DASHBOARD = "grafana/dashboards/crm_events_pipeline.json"
RULES = "prometheus-crm-events-rules.yml"


@pytest.fixture
def drive(windows: WindowsPython) -> Iterator[Path]:
    """Drive Y: of Windows, at the path that Docker Desktop's engine tells of it as the source of a bind mount."""
    letter = windows.prefix / "dosdevices" / "y:"
    letter.unlink(missing_ok=True)
    HOST_Y.mkdir(parents=True, exist_ok=True)
    letter.symlink_to(HOST_Y)
    try:
        yield HOST_Y
    finally:
        letter.unlink()
        shutil.rmtree(HOST_Y)
        os.removedirs(HOST_Y.parent)


@pytest.fixture
def installation(drive: Path) -> Path:
    """The folder of the stack in containers: a folder of drive Y:."""
    folder = drive / "installation"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def containers(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The addresses by which somebody at a Windows host reaches the stack in containers."""
    for name, value in images_of_the_stack().items():
        monkeypatch.setenv(name, value)
    try:
        up = given(installation, "stack.up", "--docker")
        assert up.code == 0, up.document
        with engine_at_a_port() as address:
            yield {"DOCKER_HOST": address, **exported(installation / ".stack-docker")}
    finally:
        down = given(installation, "stack.down", "--docker")
    assert down.code == 0, down.document


def exported(stack: Path) -> dict[str, str]:
    """Return the addresses of a stack as variables of target `live`."""
    with (stack / "target.toml").open("rb") as file:
        groups = tomllib.load(file)
    return {
        f"RUNBOOK_{group}_{key}".upper(): value
        for group, values in groups.items()
        if group not in {"runtime", "files"}
        for key, value in values.items()
    }


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (DASHBOARD, RULES)]


@pytest.mark.docker
def test_the_runbook_there_and_back_with_docker(
    windows: WindowsPython, installation: Path, containers: dict[str, str], tmp_path: Path
) -> None:
    """Docker by tcp://, and the files by their bind mounts, which are told as Docker Desktop tells them.

    Each byte that Linux would write is written, each lead and job proven, each byte put back.
    """
    monitoring = installation / ".stack-docker" / "monitoring"
    before = contents(monitoring)
    (desk := tmp_path / "my desk").mkdir()
    console = Console(windows=windows, directory=desk, settings=containers)

    first = console.inv("setup", "--yes")
    assert (first.code, "setup on live: changed" in first.text) == (0, True), first.text
    assert contents(monitoring) != before
    as_linux = given(installation, "setup", "--dry-run", "--target", "docker")
    assert (as_linux.code, as_linux.document["outcome"]) == (0, "unchanged"), as_linux.document

    second = console.inv("setup", "--yes")
    assert (second.code, "setup on live: unchanged" in second.text) == (0, True), second.text
    assert console.inv("traffic").code == 0
    proven = console.inv("verify")
    assert (proven.code, "Success criteria: 5 of 5 met" in proven.text) == (0, True), proven.text
    assert "7 of 7 proven from api to panel" in proven.text
    found = console.inv("troubleshoot")
    assert (found.code, "Verdict: healthy" in found.text) == (0, True), found.text

    back = console.inv("rollback", "--yes")
    assert (back.code, "rollback on live: changed" in back.text) == (0, True), back.text
    assert contents(monitoring) == before


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Path]:
    """The folder of a local stack: its processes are those of Linux, which a program of Windows does not see."""
    found_tools(print)
    try:
        up = given(tmp_path, "stack.up")
        assert up.code == 0, up.document
        yield tmp_path
    finally:
        down = given(tmp_path, "stack.down")
    assert down.code == 0, down.document


def test_the_runbook_there_and_back_without_docker(windows: WindowsPython, stack: Path) -> None:
    """Windows plans, writes, sends and proves; Linux restarts what it is that serves. Both keep one history."""
    monitoring = stack / ".stack" / "monitoring"
    before = contents(monitoring)
    without_promtool = {"RUNBOOK_LOCAL_PROMETHEUS_PROMTOOL": "promtool"}  # the stack's is a program of Linux
    console = Console(windows=windows, directory=stack, settings=without_promtool)

    planned = console.inv("setup", "--dry-run", "--target", "local")
    assert (planned.code, contents(monitoring)) == (2, before), planned.text
    written = console.inv("setup", "--yes", "--no-restart", "--target", "local")
    assert (written.code, "setup on local: changed" in written.text) == (0, True), written.text
    restarted = given(stack, "setup", "--yes", "--target", "local")
    assert (restarted.code, restarted.document["diff"]) == (0, ""), restarted.document

    assert console.inv("traffic", "--target", "local").code == 0
    proven = console.inv("verify", "--target", "local")
    assert (proven.code, "Success criteria: 5 of 5 met" in proven.text) == (0, True), proven.text
    assert "7 of 7 proven from api to panel" in proven.text

    back = console.inv("rollback", "--yes", "--no-restart", "--target", "local")
    assert (back.code, contents(monitoring)) == (0, before), back.text
    listed = given(stack, "history")
    assert [run["task"] for run in listed.document["runs"]][:2] == ["rollback", "verify"], listed.document


@pytest.mark.parametrize(
    "line",
    [
        "leads \\u2026",
        "done \\u2713",
        "âœ“ done".encode("cp1252", "replace").decode("cp1252"),
        "\x1b[32mok\x1b[0m",
        "ok: " + "x" * 80,
        "It is a defect of this tool: KeyError",
    ],
)
def test_what_would_be_wrong_on_the_screen_is_seen(line: str) -> None:
    assert wrongly_shown(f"all is well\n{line}\n") == [line]


def test_what_is_long_on_purpose_is_not() -> None:
    assert wrongly_shown("+" + "x" * 99 + "\nrun 1, kept in Z:\\" + "x" * 99) == []
