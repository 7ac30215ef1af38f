"""Faults of ports and networks on real containers: named alone, and mended by the command that is printed."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from runbook.local_stack.engine import compose_command, docker, run
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Service
from runbook.waiting import Pending, wait_until
from tests.command_line import Run
from tests.docker.docker_parts import Installation

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SINK = Service(name="crm-events-sink", container="aether-crm-events-sink")
GRAFANA = Service(name="grafana", container="aether-grafana")
ALERTMANAGER = Service(name="alertmanager", container="aether-alertmanager")
_MENDED_S = 90


@pytest.fixture(scope="module")
def ready(stack: Installation) -> Installation:
    """The installation with panels and alert."""
    assert stack.does("setup", "--yes").code == 0
    assert healthy(stack).code == 0
    return stack


def healthy(stack: Installation) -> Run:
    """Wait until nothing is broken: a container that has come back is scraped after ten seconds."""

    def look() -> Run | Pending:
        found = stack.does("troubleshoot")
        return found if found.code == 0 else Pending(str(found.document["verdict"]))

    return wait_until(look, what="a healthy stack", deadline_s=_MENDED_S, where="troubleshoot", fix="", every_s=1)


def named(found: Run) -> tuple[int, str, list[str]]:
    also = [fault["code"] for fault in found.document["also"]]
    return found.code, found.document["verdict"]["code"], also


def hop_of(found: Run, code: str) -> list[str]:
    checks = found.document["checks"]
    return [check["hop"] for check in checks if (check["code"], check["status"]) == (code, "broken")]


def mended_by(command: str, stack: Installation) -> None:
    """Type the command as it is printed."""
    subprocess.run(shlex.split(command), check=True, capture_output=True, timeout=60)
    healthy(stack)


@contextmanager
def moved(stack: Installation, service: Service) -> Iterator[tuple[str, str]]:
    """Have a service on another network instead of its own; both names are given, and it is back afterwards."""
    [own] = stack.runtime.networks(service)
    other = f"crm-test-{uuid4().hex[:8]}"
    docker("network", "create", other)
    docker("network", "connect", other, service.container)
    docker("network", "disconnect", own, service.container)
    try:
        yield own, other
    finally:
        if own not in stack.runtime.networks(service):
            docker("network", "connect", own, service.container)
        docker("network", "disconnect", other, service.container)
        docker("network", "rm", other)


def a_failed_scrape(stack: Installation) -> None:
    """Wait until Prometheus has noticed: what it says before that is of the last scrape."""

    def look() -> Pending | None:
        mine = [one for one in Prometheus(stack.target.prometheus).targets() if one.job == SINK.name]
        return None if [one.health for one in mine] == ["down"] else Pending(str(mine))

    wait_until(look, what="a failed scrape", deadline_s=30, where="Prometheus", fix="", every_s=0.5)


def test_sink_that_lost_its_network_is_named_and_mended(ready: Installation) -> None:
    """Its ports go with the network, so nobody hears it; the container runs, and `docker start` would do nothing."""
    [network] = ready.runtime.networks(SINK)
    docker("network", "disconnect", network, SINK.container)
    assert ready.runtime.networks(SINK) == frozenset()
    assert ready.runtime.published(SINK) == ()

    found = ready.does("troubleshoot")

    fix = found.document["verdict"]["fix"]
    assert named(found) == (1, "WRONG_NETWORK", []), found.document["verdict"]
    assert (hop_of(found, "WRONG_NETWORK"), fix) == (["sink"], f"docker network connect {network} {SINK.container}")
    mended_by(fix, ready)
    assert ready.runtime.published(SINK)


def test_sink_on_another_network_is_what_prometheus_complains_of(ready: Installation) -> None:
    """This host still reaches its page; Prometheus cannot resolve its name."""
    with moved(ready, SINK) as (network, other):
        assert ready.runtime.networks(SINK) == {other}
        a_failed_scrape(ready)

        found = ready.does("troubleshoot")

        fix = found.document["verdict"]["fix"]
        assert named(found) == (1, "WRONG_NETWORK", []), found.document["verdict"]
        assert hop_of(found, "WRONG_NETWORK") == ["prometheus"]
        assert fix == f"docker network connect {network} {SINK.container}"
        mended_by(fix, ready)
    healthy(ready)


def test_grafana_on_another_network_is_what_its_datasource_complains_of(ready: Installation) -> None:
    with moved(ready, GRAFANA) as (_, other):
        found = ready.does("troubleshoot")

        assert named(found) == (1, "WRONG_NETWORK", []), found.document["verdict"]
        assert hop_of(found, "WRONG_NETWORK") == ["grafana"]
        assert found.document["verdict"]["fix"] == f"docker network connect {other} aether-prom"
    healthy(ready)


def test_service_recreated_without_ports_is_named(ready: Installation) -> None:
    """It runs and its peers reach it; only this host does not."""
    compose = ready.directory / ".stack-docker/monitoring/compose.yaml"
    before = compose.read_text("utf-8")
    published = ready.runtime.published(ALERTMANAGER)
    line = next(line for line in before.splitlines() if "ALERTMANAGER_PORT" in line)
    recreated(compose, before.replace(f"{line}\n", ""))
    try:
        assert ready.runtime.published(ALERTMANAGER) == ()

        found = ready.does("troubleshoot")

        assert named(found) == (1, "PORT_UNPUBLISHED", []), found.document["verdict"]
        assert hop_of(found, "PORT_UNPUBLISHED") == ["alertmanager"]
        assert found.document["verdict"]["fix"].startswith("add `ports:` to the service alertmanager, then docker")
    finally:
        recreated(compose, before)
    assert ready.runtime.published(ALERTMANAGER) == published
    healthy(ready)


def recreated(compose: Path, content: str) -> None:
    """Have the file say so, and compose carry it out for Alertmanager alone."""
    compose.write_text(content, "utf-8")
    run((*compose_command(), "up", "--detach", "--no-deps", ALERTMANAGER.name), directory=compose.parent)
