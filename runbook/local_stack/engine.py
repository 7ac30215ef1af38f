"""The programs `docker` and `docker compose`, run to their end: for images and the Docker stack.

What containers *are* is asked by `runbook.systems.docker.client`; this is for what only the programs can do.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook.errors import RunbookError, UsageError
from runbook.shell import install

_LAST_LINES = 8
_COMPOSE = (("docker", "compose"), ("docker-compose",))
_TIME_S = 600


def docker(*arguments: str, with_errors: bool = False) -> str:
    """Run `docker` and return what it printed; `with_errors` also on standard error, where logs are.

    Raises RunbookError with its last lines, UsageError without Docker.
    """
    if shutil.which("docker") is None:
        raise UsageError("There is no program docker", where="PATH", fix=_install())
    return run(("docker", *arguments), with_errors=with_errors)


def _install() -> str:
    return install(
        apt="docker.io docker-compose", brew="docker docker-compose colima", windows="install Docker Desktop"
    )


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
        fix=_install(),
    )


def run(
    command: Sequence[str],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> str:
    """Run a command to its end and return its standard output. Raises RunbookError with the last lines of the rest."""
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=None if environment is None else {**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=_TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunbookError(f"It did not end within {_TIME_S} s", where=shown, fix="docker info, then again") from None
    if done.returncode:
        last = "\n".join(f"{done.stdout}\n{done.stderr or ''}".strip().splitlines()[-_LAST_LINES:])
        raise RunbookError(
            f"{command[0]} ended with code {done.returncode}:\n{last}",
            where=shown,
            fix="docker info: does the engine run?",
        )
    return done.stdout


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0
