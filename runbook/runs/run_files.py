"""How the files of a run are written, and what is said when they cannot be written or relied on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbook.errors import RunbookError
from runbook.invocation import inv
from runbook.platforms import sync


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in three parts that the state directory cannot be written: it is full, read-only or another user's."""
    try:
        yield
    except OSError as error:
        raise RunbookError(
            f"Cannot write the run record: {error.strerror}",
            where=str(path),
            fix="make room there, or work in a directory that you may write to",
        ) from None


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it and wait for the disk. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    sync(descriptor)


def altered(where: str) -> RunbookError:
    """Return the error that a line of a record is not the one that was written."""
    return damaged("The run record was damaged or altered after it was written: a line does not fit its hash", where)


def damaged(seen: str, where: Path | str) -> RunbookError:
    """Return the error that the record of a run cannot be relied on."""
    fix = f"do not rely on this run: choose another with --run ({inv('history')} lists them), or make a new one"
    return RunbookError(seen, where=str(where), fix=fix)
