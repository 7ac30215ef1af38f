"""What the clients' tests share: servers on loopback, and real programs where this machine has them."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.systems.loopback_servers import Behaviour, MakeServer, RawServer, ScriptedServer, free_port


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers what the test scripts."""
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def raw_server() -> Iterator[MakeServer]:
    """Make a server that behaves as badly as the test wants."""
    made: list[RawServer] = []

    def make(behave: Behaviour) -> RawServer:
        made.append(RawServer(behave))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def silent_url(raw_server: MakeServer) -> str:
    """The address of a server that takes a request and never answers."""
    return raw_server(lambda _, ended: ended.wait(30) and None).url


@pytest.fixture
def refused_url() -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def missing(what: str) -> NoReturn:
    """Skip what cannot be run here; where nothing may be skipped, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find a real program by its variable (PROMETHEUS), then on PATH, also as Debian calls it."""

    def find(name: str) -> str:
        path = os.environ.get(name.upper()) or shutil.which(name) or shutil.which(f"prometheus-{name}")
        if path and Path(path).exists():
            return path
        if sys.platform == "win32":
            pytest.skip(f"Windows has no {name} where these tests run")
        missing(f"{name} was not found: set {name.upper()} to it, or put it on PATH")

    return find


@pytest.fixture(scope="session")
def cannot_start() -> Callable[[str], NoReturn]:
    """Say that a program that was found does not run here."""
    return missing


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    """Return a port that nobody listens at."""
    return free_port
