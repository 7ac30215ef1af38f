"""A command of the program, as an operator gives it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runbook.settings import LOCAL

_TIMEOUT_S: Final = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command of the program that has ended: its exit code (None: it did not end), document and standard error."""

    code: int | None
    document: dict[str, Any]
    stdout: str
    stderr: str


def ended(directory: Path, task: str, *options: str) -> Ended:
    """Carry out a task on the local stack of a directory, and return how it ended."""
    command = [sys.executable, "-m", "runbook", task, "--target", LOCAL, "--json", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")}
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Ended(code=None, document={}, stdout=_text(error.stdout), stderr=_text(error.stderr))
    return Ended(code=done.returncode, document=_document(done.stdout), stdout=done.stdout, stderr=done.stderr)


def _document(text: str) -> dict[str, Any]:
    """Return the one JSON document of standard output; empty if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(given: bytes | str | None) -> str:
    return given.decode(errors="replace") if isinstance(given, bytes) else given or ""
