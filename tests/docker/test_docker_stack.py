"""The stack in containers comes, goes, and leaves nothing, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.local_stack import docker_stack
from runbook.local_stack.containers import SERVICES
from runbook.local_stack.engine import docker, listed
from runbook.observer import NullObserver
from runbook.waiting import Pending, wait_until
from tests.command_line import CHECKOUT
from tests.docker.docker_parts import Installation
from tests.images.build import built_images

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

UP = """
import sys
from pathlib import Path
from runbook.observer import NullObserver
from runbook.local_stack import docker_stack
docker_stack.up(Path(sys.argv[1]), NullObserver())
"""


def left(directory: Path) -> dict[str, list[str]]:
    label = f"com.docker.compose.project={docker_stack.project(directory)}"
    return {kind: found for kind in ("container", "network", "volume") if (found := listed(kind, label))}


def test_what_a_killed_start_left_is_removed(images: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL while containers come up: `down` finds them by their label alone."""
    command = (sys.executable, "-c", UP, str(tmp_path))
    starting = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **images})

    def probe() -> Pending | None:
        return None if "container" in left(tmp_path) else Pending("no container yet")

    try:
        wait_until(probe, what="a container", deadline_s=60, where="stack", fix="none", every_s=0.1)
    finally:
        starting.send_signal(signal.SIGKILL)
        starting.wait()
        docker_stack.down(tmp_path, NullObserver())

    assert left(tmp_path) == {}
    assert not (tmp_path / docker_stack.FOLDER).exists()


def test_installation_of_somebody_else_is_left_alone(images: dict[str, str], tmp_path: Path) -> None:
    """The names are those of the field: a container that has one already may be production."""
    docker("create", "--name", "aether-prom", images["PROMETHEUS_IMAGE"])
    try:
        with pytest.raises(RunbookError, match="aether-prom already"):
            docker_stack.up(tmp_path, NullObserver(), environment=images)
        assert left(tmp_path) == {}
        docker_stack.down(tmp_path, NullObserver())
        assert docker("container", "ls", "--all", "--quiet", "--filter", "name=^aether-prom$").strip()
    finally:
        docker("rm", "--volumes", "aether-prom")


def test_unchanged_images_are_not_built_again(images: dict[str, str]) -> None:
    said: list[str] = []

    assert images == built_images(said.append)
    assert said == []


def test_missing_images_are_named_before_anything_is_changed(
    stack: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that is there keeps its images, but for those that are named; AetherLink's own are never pulled."""
    monkeypatch.setenv("GATEWAY_IMAGE", "aetherlink/gateway:local")
    monkeypatch.setenv("APEXFLOW_IMAGE", "aetherlink/apexflow:local")

    up = stack.does("stack.up", "--docker", target=False)

    problem = up.document["error"]
    assert (up.code, problem["where"]) == (4, "monitoring/compose.yaml")
    assert "aetherlink/gateway:local, aetherlink/apexflow:local" in problem["seen"]
    assert "GATEWAY_IMAGE=IMAGE APEXFLOW_IMAGE=IMAGE" in problem["fix"]
    assert stack.does("stack.status", "--docker", target=False).code == 0


def test_status_tells_what_runs_and_what_it_is(stack: Installation) -> None:
    """Real or stand-in, by the image; a container that was stopped is named, and exit code 1 says that."""
    up = stack.does("stack.status", "--docker", target=False)
    parts = {part["name"]: part for part in up.document["parts"]}
    assert (up.code, set(parts)) == (0, set(SERVICES))
    assert parts["prometheus"]["kind"] == parts["crm-events-sink"]["kind"] == "real"
    assert parts["kafka"]["kind"] == "stand-in"
    assert parts["prometheus"]["address"].startswith("127.0.0.1:")

    docker("stop", "aether-alertmanager")
    down = stack.does("stack.status", "--docker", target=False)

    assert down.code == 1
    assert "not running: alertmanager" in down.document["steps"][-1]["reason"]


def test_a_second_up_starts_what_is_missing_and_keeps_the_files(stack: Installation) -> None:
    """One container was stopped, one is paused, one was removed: all run again, the others are the same ones."""
    rules = stack.rules.read_bytes() + b"# corrected by hand\n"
    stack.rules.write_bytes(rules)
    docker("stop", "aether-alertmanager")
    docker("pause", "aether-crm-events-sink")
    docker("rm", "--force", "aether-grafana")
    before = container_ids(stack)

    up = stack.does("stack.up", "--docker", target=False)

    assert up.code == 0, up.document
    assert stack.does("stack.status", "--docker", target=False).code == 0
    after = container_ids(stack)
    assert {name for name in after if after[name] != before.get(name)} == {"aether-grafana"}
    assert docker("inspect", "--format", "{{.State.Status}}", "aether-crm-events-sink").strip() == "running"
    assert stack.rules.read_bytes() == rules


def test_a_container_that_does_not_come_up_leaves_the_others_running(
    stack: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, with its last words and the command that shows its log; the next up starts it alone."""
    monkeypatch.setattr("runbook.local_stack.containers._READY_S", 15.0)
    right = (stack.rules.parent / "prometheus.yml").read_bytes()
    (stack.rules.parent / "prometheus.yml").write_bytes(b"no_such_key: 1\n")
    docker("restart", "aether-prom")
    before = container_ids(stack)

    with pytest.raises(RunbookError) as caught:
        docker_stack.up(stack.directory, NullObserver())

    assert caught.value.seen.startswith("aether-prom did not come up within 15 s: ")
    assert "no_such_key" in caught.value.seen
    assert caught.value.where == "container aether-prom"
    assert "docker logs aether-prom; then inv stack.up --docker" in caught.value.fix
    assert container_ids(stack) == before
    (stack.rules.parent / "prometheus.yml").write_bytes(right)
    docker_stack.up(stack.directory, NullObserver())
    assert container_ids(stack) == before


def test_down_keeps_what_somebody_corrected(images: dict[str, str], stack: Installation) -> None:
    """The last test of this stack: its folder goes, the corrected file stays and is named."""
    assert images
    rules = stack.rules.read_bytes() + b"# the last word\n"
    stack.rules.write_bytes(rules)

    down = stack.does("stack.down", "--docker", target=False)

    assert down.code == 0, down.document
    evidence = {Path(one["source"]).name: one["saw"] for one in down.document["steps"][-1]["evidence"]}
    assert set(evidence) == {stack.rules.name}
    copy = Path(evidence[stack.rules.name].partition("kept as ")[2])
    assert (copy.read_bytes(), stack.rules.exists(), left(stack.directory)) == (rules, False, {})


def container_ids(stack: Installation) -> dict[str, str]:
    label = f"label=com.docker.compose.project={docker_stack.project(stack.directory)}"
    lines = docker("container", "ls", "--all", "--filter", label, "--format", "{{.Names}} {{.ID}}").splitlines()
    return dict(line.split() for line in lines)
