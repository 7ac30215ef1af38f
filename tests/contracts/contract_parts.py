"""What the contract suites share: stand-ins as processes, and waiting for a state."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import requests

from runbook.settings import LOCAL, Target, load_target

ROOT = Path(__file__).parents[2]
HTTP_TIMEOUT_S = 10
_DEADLINE_S = 20.0
_PAUSE = threading.Event()

STAND_IN, REAL = "stand-in", "real"
PLAYERS = (
    STAND_IN,
    pytest.param(REAL, marks=(pytest.mark.real, pytest.mark.stack, pytest.mark.xdist_group("real parts"))),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A stand-in that runs, with what it wrote to stdout and stderr."""

    process: subprocess.Popen[bytes]
    output: Path

    def log(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return self.process.wait(_DEADLINE_S)


@contextmanager
def running(
    name: str, *options: str, output: Path, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[Program]:
    """Start a stand-in, and end it afterwards if the test has not."""
    command = [sys.executable, "-m", f"runbook.local_stack.fakes.{name}", *options]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    with output.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=surroundings, cwd=cwd)
    program = Program(process=process, output=output)
    try:
        yield program
    finally:
        if process.poll() is None:
            program.end()


def eventually(probe: Callable[[], T | None], what: str) -> T:
    """Return the first answer of `probe` that is not None; fail after a deadline."""
    end = time.monotonic() + _DEADLINE_S
    while (answer := probe()) is None:
        if time.monotonic() > end:
            pytest.fail(f"not within {_DEADLINE_S:g} s: {what}")
        _PAUSE.wait(0.02)
    return answer


def reachable(program: Program, port: int) -> None:
    """Wait until the program listens; fail at once if it has ended."""

    def probe() -> bool | None:
        if program.process.poll() is not None:
            pytest.fail(f"ended before it listened:\n{program.log()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return None
        return True

    eventually(probe, f"port {port} listens")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def real_parts(*variables: str) -> list[object]:
    """Return one parameter marked `live` if all the variables are set, and none otherwise."""
    if not all(os.environ.get(variable) for variable in variables):
        return []
    return [pytest.param(tuple(os.environ[variable] for variable in variables), marks=pytest.mark.live, id="real")]


def played_by(request: pytest.FixtureRequest) -> Target | None:
    """Return where the real parts are, or None if the stand-in is meant."""
    if request.param == STAND_IN:
        return None
    return load_target(LOCAL, directory=request.getfixturevalue("real_stack"))


def token(issuer: str, **form: str | None) -> requests.Response:
    """Ask for a token as the runbook does; `form` replaces single fields, None leaves one out."""
    fields = {
        "grant_type": "password",
        "client_id": "aetherlink-gateway",
        "username": "demo",
        "password": "demo",
    }
    address = f"{issuer}/realms/aetherlink/protocol/openid-connect/token"
    return requests.post(address, data=fields | form, timeout=HTTP_TIMEOUT_S)  # requests leaves None out
