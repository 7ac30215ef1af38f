"""Programs that the machine lacks, fetched once into a cache: whoever comes second finds them there."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runbook.errors import RunbookError
from runbook.platforms import lock

_FETCH_S = 600
_LAST_LINES = 5


def cache_root() -> Path:
    """Return the folder of everything that was fetched: below XDG_CACHE_HOME, else below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "crm-events-runbook"


def fetched_once(destination: Path, fill: Callable[[Path], Path]) -> Path:
    """Return the folder `destination`; if it is not there, `fill` makes it, and only a complete one gets its name.

    `fill` works in an empty scratch folder beside it and returns the folder to keep. A run at the same time waits.
    """
    if destination.is_dir():
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _locked(destination.with_name(f"{destination.name}.lock")):
        if not destination.is_dir():
            with tempfile.TemporaryDirectory(dir=destination.parent, prefix="fetch-") as scratch:
                fill(Path(scratch)).rename(destination)
    return destination


def run_fetcher(command: Sequence[str], directory: Path, *, what: str, fix: str) -> None:
    """Run a program that fetches or unpacks. Raises RunbookError with its last lines, in which `what` is named."""
    where = " ".join(command)
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_FETCH_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunbookError(f"{what} did not come within {_FETCH_S} s", where=where, fix=fix) from None
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise RunbookError(f"{what} could not be fetched:\n{last}", where=where, fix=fix)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock; the kernel drops it with the process, however it ends."""
    with path.open("ab") as file:
        lock(file.fileno())
        yield
