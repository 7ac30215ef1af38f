"""Is the sink alive, and does it do its work? Three small pages for probes and for people."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from sink.pages import Page, Request, Route, json_page

SERVICE: Final = "crm-events-sink"
STALLED_AFTER_S: Final = 30.0


@dataclass(slots=True, kw_only=True)
class Pulse:
    """What the poll loop knows about itself. It alone writes; each field is one assignment, so readers need no lock."""

    clock: Callable[[], float] = time.monotonic  # seconds; a clock that is set does not move it
    beat_at: float = field(init=False)  # when the loop last came round
    connected: bool = False  # a Kafka broker is connected
    assigned: int = 0  # partitions
    blocked: str = ""  # why counting waits, or empty

    def __post_init__(self) -> None:
        """Begin with a beat: a loop that has just been made has not stalled."""
        self.beat()

    def beat(self) -> None:
        """Note that the loop has come round."""
        self.beat_at = self.clock()

    def stalled(self) -> str:
        """Say for how long the loop has not come round, or nothing."""
        silent_s = self.clock() - self.beat_at
        return f"the poll loop has not come round for {silent_s:.0f} s" if silent_s > STALLED_AFTER_S else ""

    def impaired(self) -> str:
        """Say what keeps this process from its work, or nothing. Without partitions it is a healthy stand-by."""
        return self.stalled() or ("" if self.connected else "Kafka is not connected") or self.blocked

    def not_ready(self) -> str:
        """Say why no event would be counted now, or nothing."""
        return self.impaired() or ("" if self.assigned else "no partitions assigned")


def health_routes(pulse: Pulse) -> Mapping[str, Route]:
    """Return /health (works, or why not), /livez (restart me?) and /readyz (are events being counted?)."""

    def health(_: Request) -> Page:
        reason = pulse.impaired()
        if reason:
            unhealthy = {"status": "unhealthy", "service": SERVICE, "reason": reason}
            return json_page(HTTPStatus.SERVICE_UNAVAILABLE, unhealthy)
        return json_page(HTTPStatus.OK, {"status": "healthy", "service": SERVICE})

    return {
        "GET /health": health,
        "GET /livez": _probe("alive", pulse.stalled, pulse),
        "GET /readyz": _probe("ready", pulse.not_ready, pulse),
    }


def _probe(name: str, problem: Callable[[], str], pulse: Pulse) -> Route:
    def probe(_: Request) -> Page:
        reason = problem()
        if reason:
            return json_page(HTTPStatus.SERVICE_UNAVAILABLE, {name: False, "reason": reason})
        return json_page(HTTPStatus.OK, {name: True, "assigned_partitions": pulse.assigned})

    return probe
