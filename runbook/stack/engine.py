"""The programs `docker` and `docker compose`, run to their end: for images and the Docker stack.

What containers *are* is asked by `runbook.clients.docker`; this is for what only the programs can do.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook.errors import RunbookError, UsageError

_LAST_LINES = 8
_COMPOSE = (("docker", "compose"), ("docker-compose",))
_TIME_S = 600


def docker(*arguments: str, stdin: Any = None) -> str:  # noqa: ANN401 - a file or nothing, as subprocess takes it
    """Run `docker` and return what it printed. Raises RunbookError with its last lines, UsageError without Docker."""
    if shutil.which("docker") is None:
        raise UsageError("There is no program docker", where="PATH", fix="apt-get install docker.io")
    return run(("docker", *arguments), stdin=stdin)


def listed(kind: str, label: str) -> list[str]:
    """Return the ids of the containers, networks or volumes ("container", "network", "volume") with a label."""
    every = ("--all",) if kind == "container" else ()
    return docker(kind, "ls", "--quiet", *every, "--filter", f"label={label}").split()


def compose_command() -> tuple[str, ...]:
    """Return how compose is called here: the plugin (version 2), else the older program."""
    for command in _COMPOSE:
        if shutil.which(command[0]) and _answers((*command, "version")):
            return command
    raise UsageError(
        "There is no Docker Compose",
        where="docker compose version, docker-compose version",
        fix="apt-get install docker-compose",
    )


def run(
    command: Sequence[str],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: Any = None,  # noqa: ANN401 - a file or nothing, as subprocess takes it
) -> str:
    """Run a command to its end and return its standard output. Raises RunbookError with the last lines of the rest."""
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=None if environment is None else {**os.environ, **environment},
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunbookError(f"It did not end within {_TIME_S} s", where=shown, fix="docker info, then again") from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-_LAST_LINES:])
        raise RunbookError(f"It ended with code {done.returncode}:\n{last}", where=shown, fix="docker info, then again")
    return done.stdout


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0
