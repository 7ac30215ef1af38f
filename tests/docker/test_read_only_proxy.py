"""A real engine behind a proxy that lets only reading through: what needs more says so before it writes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.docker_parts import Installation
from tests.permissions.proxies import Proxy, engine_proxy, only_reading, reading_and_restarts

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def proxy(stack: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:  # noqa: ARG001 - its engine
    """Have the commands ask the proxy instead of the engine."""
    engine = os.environ.get("DOCKER_HOST", SOCKET)
    if not engine.startswith("unix://"):
        pytest.skip(f"the proxy stands before sockets, and the engine is at {engine}")
    with engine_proxy(engine, tmp_path / "proxy.sock", only_reading) as before:
        monkeypatch.setenv("RUNBOOK_DOCKER_RUNTIME_DOCKER_HOST", f"unix://{tmp_path / 'proxy.sock'}")
        yield before


def test_setup_names_the_right_to_restart_and_writes_nothing(stack: Installation, proxy: Proxy) -> None:
    before = stack.rules.read_bytes(), stack.dashboard.read_bytes()

    done = stack.does("setup", "--yes")

    assert (done.code, done.document["outcome"]) == (1, "failed"), done.document
    assert "does not allow this (restart aether-grafana): 403; nothing was written" in done.document["error"]["seen"]
    assert "ALLOW_RESTARTS=1" in done.document["error"]["fix"]
    assert before == (stack.rules.read_bytes(), stack.dashboard.read_bytes())
    assert len(proxy.refused) == 1


def test_files_are_written_and_put_back_without_it(stack: Installation, proxy: Proxy) -> None:
    before = stack.rules.read_bytes(), stack.dashboard.read_bytes()

    there = stack.does("setup", "--yes", "--no-restart")
    written = stack.rules.read_bytes(), stack.dashboard.read_bytes()
    back = stack.does("rollback", "--yes", "--no-restart")

    assert (there.code, back.code, proxy.refused) == (0, 0, [])
    assert written != before
    assert before == (stack.rules.read_bytes(), stack.dashboard.read_bytes())


def test_right_to_restart_is_enough_for_setup(stack: Installation, proxy: Proxy) -> None:
    """A real engine answers the question of before with 404, and then restarts."""
    proxy.allows = reading_and_restarts

    done = stack.does("setup", "--yes")
    logs = stack.does("logs", "--tail", "5")
    back = stack.does("rollback", "--yes")

    assert (done.code, logs.code, back.code) == (0, 0, 0), done.document
    assert all("exec" in request for request in proxy.refused)
