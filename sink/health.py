"""The health of the process: /health, /livez and /readyz."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from sink.http_server import Request, Response, Route, json_response

SERVICE: Final = "crm-events-sink"
STALLED_AFTER_S: Final = 30.0


@dataclass(slots=True, kw_only=True)
class Health:
    """The state of the poll loop. Only the loop writes it; each change is one assignment, so readers need no lock."""

    clock: Callable[[], float] = time.monotonic  # seconds; does not jump when the wall clock is set
    last_iteration_at: float = field(init=False)
    connected: bool = False  # to a Kafka broker
    assigned: int = 0  # partitions
    blocked_by: str = ""  # why nothing is counted, or empty

    def __post_init__(self) -> None:
        """Start with an iteration: a loop that has just been created is not stalled."""
        self.note_iteration()

    def note_iteration(self) -> None:
        """Note that the loop has begun another iteration."""
        self.last_iteration_at = self.clock()

    def stalled(self) -> str:
        """Return for how long the loop has not begun another iteration, or nothing if that is not long."""
        passed_s = self.clock() - self.last_iteration_at
        return f"the poll loop has been stalled for {passed_s:.0f} s" if passed_s > STALLED_AFTER_S else ""

    def unhealthy(self) -> str:
        """Return why this process does not work, or nothing. Without partitions it is a healthy stand-by."""
        return self.stalled() or ("" if self.connected else "Kafka is not connected") or self.blocked_by

    def not_ready(self) -> str:
        """Return why no event would be counted now, or nothing."""
        return self.unhealthy() or ("" if self.assigned else "no partitions assigned")


def health_routes(health: Health) -> Mapping[str, Route]:
    """Return /health (does it work?), /livez (or must it be restarted?) and /readyz (are events counted?)."""

    def respond(_: Request) -> Response:
        reason = health.unhealthy()
        if reason:
            unhealthy = {"status": "unhealthy", "service": SERVICE, "reason": reason}
            return json_response(HTTPStatus.SERVICE_UNAVAILABLE, unhealthy)
        return json_response(HTTPStatus.OK, {"status": "healthy", "service": SERVICE})

    return {
        "GET /health": respond,
        "GET /livez": _probe("alive", health.stalled, health),
        "GET /readyz": _probe("ready", health.not_ready, health),
    }


def _probe(name: str, problem: Callable[[], str], health: Health) -> Route:
    def respond(_: Request) -> Response:
        reason = problem()
        if reason:
            return json_response(HTTPStatus.SERVICE_UNAVAILABLE, {name: False, "reason": reason})
        return json_response(HTTPStatus.OK, {name: True, "assigned_partitions": health.assigned})

    return respond
