"""A service's log as a file: its lines with the time that each carries, and the lines that come."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from runbook.systems.runtime import LogLine
from runbook.waiting import Pending, wait_until

_FOLLOW_EVERY_S: Final = 0.1
# "[2025-11-03T19:48:51.465169] " of the sink, "2025-11-03T19:48:51.465Z " of the stand-ins, "ts=2025-11-03T..." of
# Prometheus and Alertmanager, "time=2025-11-03T..." of their newer versions: all UTC.
_OWN_TIME: Final = re.compile(r"(?:\[|ts=|time=)?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*Z?[\] ]")


def read_log(
    path: Path, *, since: datetime | None = None, tail: int | None = None, begin: int = 0
) -> tuple[LogLine, ...]:
    """Return the lines of a log, each with the time that it carries itself, if any; none where there is no file.

    They are read from byte `begin` on, from a file that has become shorter all. With `since`, the lines after the last
    one that is known to be older: a line without a time (a traceback) is
    left out only if an older line follows it. Raises OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    lines = _lines(content[begin if begin <= len(content) else 0 :], since)
    return lines if tail is None else lines[max(0, len(lines) - tail) :]


def follow_log(path: Path, *, since: datetime | None = None) -> Iterator[LogLine]:
    """Yield the lines as they come, over restarts too, until the caller stops or the file is gone. Raises OSError."""
    if not path.exists():
        return
    with path.open("rb") as file:
        content = file.read()
        complete = content.rfind(b"\n") + 1
        yield from _lines(content[:complete], since)
        file.seek(complete)
        while line := _next_line(file, path):
            yield from _lines(line)


def _lines(content: bytes, since: datetime | None = None) -> tuple[LogLine, ...]:
    texts = content.decode("utf-8", "replace").removesuffix("\n").split("\n") if content else []
    lines = tuple(LogLine(text=text.removesuffix("\r"), at=_own_time(text)) for text in texts)
    if since is None:
        return lines
    older = (number for number, line in enumerate(lines, 1) if line.at is not None and line.at < since)
    return lines[max(older, default=0) :]


def _own_time(text: str) -> datetime | None:
    found = _OWN_TIME.match(text)
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
    except ValueError:  # the 31st of February
        return None


def _next_line(file: BinaryIO, path: Path) -> bytes:
    """Wait for a complete line; nothing once the file has been removed."""

    def line() -> bytes | Pending:
        position = file.tell()
        text = file.readline()
        if text.endswith(b"\n"):
            return text
        file.seek(position)
        return Pending("no further line") if path.exists() else b""

    fix = "none: it waits until the caller stops"
    return wait_until(
        line, what="the next line", deadline_s=math.inf, where=str(path), fix=fix, every_s=_FOLLOW_EVERY_S
    )
