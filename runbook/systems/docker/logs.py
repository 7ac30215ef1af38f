"""A container's log: the frames that the engine sends, as lines.

They are read here, not by the SDK, since it drops which stream a frame belongs to. A line that was written in pieces
comes as a frame a piece, each with a time of its own at its beginning: Docker cuts at 16 KB, Podman wherever the
program made two writes of it (measured with 4.3: `print` of an unbuffered Python), and pieces of the two streams mix.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from runbook.systems.docker.engine import Engine, answered
from runbook.systems.docker.wire import FRAME, Listed
from runbook.systems.gotime import moment
from runbook.systems.runtime import LogLine

if TYPE_CHECKING:
    from requests import Response

_RECENT: Final = timedelta(hours=1)
_TERMINAL: Final = 0
"""The stream of a container with a terminal: it has only one, and no frames."""
_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) ?")
_LINE: Final = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ?(.*)", flags=re.DOTALL)


def log_lines(
    engine: Engine, container: Listed, *, since: datetime | None, tail: int | None = None, follow: bool = False
) -> Iterator[LogLine]:
    """Yield its lines since a time, the last `tail` of them; with `follow` also those to come, until it ends.

    Podman's own `tail` mixes up lines that were written in pieces, and loses some (4.3): all of the last hour are read
    from it, and the whole log if these are too few.
    """
    if tail and engine.is_podman:
        yield from _last(engine, container, tail, since)
        return
    wanted: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
    wanted |= {"tail": "all" if tail is None else tail} | ({} if since is None else {"since": since.timestamp()})
    with engine.asking("log") as client:
        has_terminal = client.inspect_container(container.id)["Config"]["Tty"]
        url = f"{client.base_url}/v{client.api_version}/containers/{container.id}/logs"
        patience = (engine.timeout_s, None if follow else engine.timeout_s)
        with answered(client.get(url, params=wanted, stream=True, timeout=patience)) as answer:
            yield from _lines(_as_written(answer) if has_terminal else _frames(answer))


def _last(engine: Engine, container: Listed, tail: int, since: datetime | None) -> Iterator[LogLine]:
    found: deque[LogLine] = deque(maxlen=tail)
    recent = datetime.now(UTC) - _RECENT
    for begin in (recent if since is None else max(since, recent), since):
        found.clear()
        found.extend(log_lines(engine, container, since=begin))
        if len(found) == tail:
            break
    yield from found


def _as_written(answer: "Response") -> Iterator[tuple[int, bytes]]:
    for chunk in answer.iter_content(1):  # as it comes: more would be waited for
        yield _TERMINAL, chunk


def _frames(answer: "Response") -> Iterator[tuple[int, bytes]]:
    """Yield stream and bytes of each frame."""
    while len(header := answer.raw.read(FRAME.size)) == FRAME.size:
        stream, length = FRAME.unpack(header)
        yield stream, answer.raw.read(length)


def _lines(frames: Iterable[tuple[int, bytes]]) -> Iterator[LogLine]:
    """Put the pieces of each stream's lines together; a line has the time of its first piece."""
    begun: dict[int, bytes] = {}
    for stream, content in frames:
        before = begun.pop(stream, b"")
        is_piece = before and stream != _TERMINAL
        *lines, rest = (before + (_untimed(content) if is_piece else content)).split(b"\n")
        yield from map(_line, lines)
        if rest:
            begun[stream] = rest
    yield from map(_line, begun.values())


def _untimed(piece: bytes) -> bytes:
    time = _TIME.match(piece)
    return piece[time.end() :] if time else piece


def _line(raw: bytes) -> LogLine:
    text = raw.decode("utf-8", errors="replace").rstrip("\r")
    stamped = _LINE.fullmatch(text)
    return LogLine(text=stamped[2], at=moment(stamped[1])) if stamped else LogLine(text=text)
