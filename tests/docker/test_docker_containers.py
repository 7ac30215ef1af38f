"""States of real containers: named alone at their hop, and mended by what is printed, typed as it is printed."""

import shlex
import subprocess
from pathlib import Path

import pytest

from runbook.local_stack.containers import SERVICES
from runbook.local_stack.engine import compose_command, docker, run
from runbook.waiting import Pending, wait_until
from tests.command_line import Run
from tests.docker.docker_parts import Installation

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

_MENDED_S = 90
_MOST_FIXES = 3
_SMALL = 6 * 1024 * 1024  # the least that the engine takes


@pytest.fixture(scope="module")
def ready(stack: Installation) -> Installation:
    """The installation with panels and alert."""
    assert stack.does("setup", "--yes").code == 0
    assert healthy(stack).code == 0
    return stack


def healthy(stack: Installation, *, or_told: str = "") -> Run:
    """Wait until nothing is broken, or `or_told` is: a broker that has come back is joined after some seconds."""

    def look() -> Run | Pending:
        found = stack.does("troubleshoot")
        verdict = found.document["verdict"]
        is_seen = found.code == 0 or (or_told and verdict["code"] == or_told)
        return found if is_seen else Pending(str(verdict))

    return wait_until(look, what="a healthy stack", deadline_s=_MENDED_S, where="troubleshoot", fix="", every_s=1)


def typed(fix: str) -> None:
    """Type the commands of a fix, one after the other; what is told in words is no command."""
    for command in fix.partition("; ")[0].split(", then "):
        assert command.startswith("docker "), fix
        words = shlex.split(command.replace("docker compose", shlex.join(compose_command())))
        subprocess.run(words, check=True, capture_output=True, timeout=120)


def others(changed: str) -> dict[str, str]:
    """Return every other container by name: its id and when it was started."""
    names = [name for name in SERVICES.values() if name != changed]
    told = docker("inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Status}}", *names)
    return dict(line.split(maxsplit=1) for line in told.splitlines())


@pytest.mark.parametrize(
    ("service", "hop", "verb", "code"),
    [
        ("keycloak", "keycloak", "pause", "CTR_PAUSED"),
        ("traefik", "proxy", "kill", "CTR_EXITED"),
        ("gateway", "gateway", "pause", "CTR_PAUSED"),
        ("gateway", "gateway", "stop", "CTR_EXITED"),
        ("apexflow", "apexflow", "pause", "CTR_PAUSED"),
        ("kafka", "kafka", "kill", "CTR_EXITED"),
        ("crm-events-sink", "sink", "pause", "CTR_PAUSED"),
        ("prometheus", "prometheus", "kill", "CTR_EXITED"),
        ("grafana", "grafana", "pause", "CTR_PAUSED"),
        ("alertmanager", "alertmanager", "stop", "CTR_EXITED"),
        ("gateway", "gateway", "rm", "CTR_MISSING"),
    ],
)
def test_a_stopped_container_is_named_alone_and_mended(
    ready: Installation, service: str, hop: str, verb: str, code: str
) -> None:
    name = SERVICES[service]
    before = others(name)
    docker(verb, *(("--force",) if verb == "rm" else ()), name)

    found = ready.does("troubleshoot")

    is_told(found, hop, code)
    typed(found.document["verdict"]["fix"])
    healthy(ready)
    assert others(name) == before


def test_a_container_that_was_never_started_is_named_alone_and_mended(ready: Installation) -> None:
    compose = ready.directory / ".stack-docker/monitoring/compose.yaml"
    created(compose, "apexflow")

    found = ready.does("troubleshoot")

    is_told(found, "apexflow", "CTR_EXITED")
    assert "was created and never started" in found.document["verdict"]["claim"]
    typed(found.document["verdict"]["fix"])
    healthy(ready)


def test_a_container_that_needs_more_memory_is_named_alone_and_mended(ready: Installation) -> None:
    """It is started again and again, and ends each time: `docker restart` alone would change nothing.

    Each fix doubles the limit; where that is not enough, the next one doubles it again.
    """
    name = SERVICES["gateway"]
    memory = docker("inspect", "--format", "{{.HostConfig.Memory}}", name).strip()
    limit = too_small_a_limit(name)
    docker("stop", name)  # what runs keeps what it holds
    docker("update", "--memory", str(limit), "--memory-swap", str(limit), name)
    docker("start", name)
    try:
        found = ready.does("troubleshoot")
        is_told(found, "gateway", "CTR_OOM")
        for _ in range(_MOST_FIXES):
            typed(found.document["verdict"]["fix"])
            found = healthy(ready, or_told="CTR_OOM")
            if found.code == 0:
                break
        assert found.code == 0, found.document["verdict"]
    finally:
        docker("update", "--memory", memory, "--memory-swap", memory, name)
        docker("restart", name)
        healthy(ready)


def test_a_mark_of_an_earlier_start_names_nothing(ready: Installation) -> None:
    """A container that was killed and started again, and one with a similar name that has ended."""
    name = SERVICES["gateway"]
    docker("kill", name)
    docker("start", name)
    docker("run", "--detach", "--name", f"{name}-old", "--entrypoint", "false", image_of(name))
    try:
        assert healthy(ready).document["verdict"]["code"] in {"", "A_IDLE"}
    finally:
        docker("rm", "--force", f"{name}-old")


def is_told(found: Run, hop: str, code: str) -> None:
    verdict = found.document["verdict"]
    broken = [(check["hop"], check["code"]) for check in found.document["checks"] if check["status"] == "broken"]
    assert (found.code, broken) == (1, [(hop, code)]), (verdict, broken)


def created(compose: Path, service: str) -> None:
    command = (*compose_command(), "up", "--no-start", "--force-recreate", "--no-deps", service)
    run(command, directory=compose.parent)


def image_of(name: str) -> str:
    return docker("inspect", "--format", "{{.Config.Image}}", name).strip()


def too_small_a_limit(name: str) -> int:
    """Return a limit with which the program does not come up: less than half of what it holds, most of it its own."""
    held = [int(line.split()[1]) for line in docker("top", name, "-eo", "pid,rss").splitlines()[1:]]
    return max(_SMALL, sum(held) * 1024 * 2 // 5)
