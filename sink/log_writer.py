"""The sink's log on stdout, which never blocks the counting."""

import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import KafkaError

# About 100,000 event lines. While stdout is blocked, lines beyond this are dropped and counted.
_LIMIT_BYTES: Final = 8 * 1024 * 1024
_THROTTLE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvents:
    """Events that were fetched at once, by column and in their order."""

    types: Sequence[str]
    tenants: Sequence[str]


class LogWriter:
    """A bounded queue of lines, and a thread that writes them to a file descriptor.

    The thread writes to the descriptor itself: `sys.stdout` has a lock, and a write that hangs would still hold it when
    the interpreter ends. If nobody reads stdout any more, the lines are lost, and the sink goes on.
    """

    def __init__(self, descriptor: int, *, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._descriptor = descriptor
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._queue: list[tuple[Sequence[bytes], int]] = []
        self._queued_bytes = 0
        self._writing = False
        self._dropped = 0
        self._throttles: dict[str, Throttle] = {}
        threading.Thread(target=self._write_forever, name="log-writer", daemon=True).start()

    @property
    def dropped(self) -> int:
        """How many lines were not written because stdout was blocked or closed."""
        return self._dropped

    def write_events(self, received: Sequence[ReceivedEvents]) -> None:
        """Write the line of each event, all with the same time."""
        lines = _LinesByType(f"[{_now()}] Received ")
        self._put(list(map(lines.of, received)), sum(len(events.tenants) for events in received))

    def write(self, text: str) -> None:
        """Write one line with the time before it."""
        self._put([f"[{_now()}] {_escaped(text)}\n".encode()], 1)

    def write_throttled(self, what: str, error: KafkaError, hint: str = "") -> None:
        """Write an error that may occur many times a second, and its hint, at most once in 10 s for each error code."""
        kind = f"{what}: {error.name()}"
        throttle = self._throttles.setdefault(kind, Throttle(_THROTTLE_S))
        if (line := throttle.passed(f"{kind}: {error.str()}{hint}")) is not None:
            self.write(line)

    def write_without_time(self, text: str) -> None:
        """Write one line as it is: the start-up line, which people search for."""
        self._put([f"{_escaped(text)}\n".encode()], 1)

    def close(self, timeout_s: float) -> None:
        """Wait until everything is written, but no longer than the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._queue or self._writing), timeout_s)

    def _put(self, texts: Sequence[bytes], lines: int) -> None:
        size = sum(map(len, texts))
        with self._changed:
            if self._queued_bytes + size > self._limit_bytes:
                self._dropped += lines
                return
            self._queue.append((texts, lines))
            self._queued_bytes += size
            self._changed.notify_all()

    def _write_forever(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue)
                taken, self._queue, self._queued_bytes, self._writing = self._queue, [], 0, True
            if not _written(self._descriptor, b"".join([text for texts, _ in taken for text in texts])):
                with self._changed:
                    self._dropped += sum(lines for _, lines in taken)


class _LinesByType(dict[str, "_LinesByTenant"]):
    """The lines of a batch. Lines of the same type and tenant are equal, so each is formatted once."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self._start = start

    def of(self, events: ReceivedEvents) -> bytes:
        """Return the lines of some events: one call into C if they have one type, as those of one topic do."""
        types, tenants = events.types, events.tenants
        if types and types.count(types[0]) == len(types):
            return b"".join(map(self[types[0]].__getitem__, tenants))
        return b"".join([self[event_type][tenant] for event_type, tenant in zip(types, tenants, strict=True)])

    def __missing__(self, event_type: str) -> "_LinesByTenant":
        found = self[event_type] = _LinesByTenant(f"{self._start}{_escaped(event_type)} for tenant ")
        return found


class _LinesByTenant(dict[str, bytes]):
    def __init__(self, start: str) -> None:
        super().__init__()
        self._start = start

    def __missing__(self, tenant_id: str) -> bytes:
        line = self[tenant_id] = f"{self._start}{_escaped(tenant_id)}\n".encode()
        return line


class Throttle:
    """Lets one message in a period pass and counts the others, so that an outage does not flood the log."""

    def __init__(self, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._next_at = float("-inf")
        self._omitted = 0

    def passed(self, text: str) -> str | None:
        """Return the text to write, with the number of messages omitted before it, or None."""
        if self._clock() < self._next_at:
            self._omitted += 1
            return None
        suffix = f" (messages of this kind omitted before: {self._omitted})" if self._omitted else ""
        self._next_at, self._omitted = self._clock() + self._period_s, 0
        return text + suffix


def _now() -> str:
    """Return the time in the form that the runbook shows: UTC, microseconds, no offset."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def _escaped(text: str) -> str:
    r"""Escape what is not printable, so that an event cannot write a line of its own: a newline becomes `\n`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _written(descriptor: int, text: bytes) -> bool:
    """Write all of the text; return False if nobody can read it any more."""
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever started the sink has made the descriptor non-blocking
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True
