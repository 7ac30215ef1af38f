"""Commands that a fix names, as they are typed on this system: in a shell of Linux or macOS, or in PowerShell."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PLAIN: Final = re.compile(r"[\w+=:./\\-]+", re.ASCII)


def quoted(word: str) -> str:
    """Return a word of a command line; on Windows, one that cmd understands as PowerShell does if that can be."""
    if sys.platform != "win32":
        return shlex.quote(word)
    if '"' in word:
        return "'{}'".format(word.replace("'", "''"))
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def joined(words: Iterable[str]) -> str:
    """Return a command line."""
    return " ".join(map(quoted, words))


def show_process(pid: int) -> str:
    """Return the command that shows a process."""
    return f'tasklist /v /fi "PID eq {pid}"' if sys.platform == "win32" else f"ps -fp {pid}"


def end_process(pid: int) -> str:
    """Return the command that ends a process."""
    return f"taskkill /f /t /pid {pid}" if sys.platform == "win32" else f"kill {pid}"


def resume_process(pid: int) -> str:
    """Return the command that lets a suspended process go on; nothing on Windows, which has none."""
    return "" if sys.platform == "win32" else f"kill -CONT {pid}"


def show_listeners() -> str:
    """Return the command that shows who listens at TCP ports."""
    return {"linux": "ss -ltnp", "win32": "netstat -ano -p tcp"}.get(sys.platform, "lsof -nP -iTCP -sTCP:LISTEN")


def show_end(file: Path, lines: int) -> str:
    """Return the command that shows the last lines of a file."""
    if sys.platform == "win32":
        return f"Get-Content -Tail {lines} {quoted(str(file))}"
    return f"tail -n {lines} {quoted(str(file))}"


def install(*, apt: str, brew: str, windows: str) -> str:
    """Return how programs are installed: packages of apt-get or Homebrew, and in words for Windows.

    Where there is neither, the packages are named as Debian calls them.
    """
    if sys.platform == "win32":
        return windows
    if shutil.which("apt-get"):
        return f"apt-get install {apt}"
    if shutil.which("brew") or sys.platform == "darwin":
        return f"brew install {brew}"
    return f"install {apt} (as Debian calls it) with the package manager of this system"
