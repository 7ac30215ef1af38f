"""`python -m runbook.local_stack.fakes.apexflow`: leads and jobs, told to Kafka by an outbox.

The caller is the gateway: it names the tenant in `x-tenant-id`. An event is on its topic shortly after the answer, and
is never lost: it leaves the outbox only when Kafka has confirmed it.

Choices that no fact fixes: name and email, lead_id and title are required; a lead without a status is `new`, a job
without one `Open`; event_version is 1 and actor `api`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from runbook.local_stack.fakes.apexflow import bodies
from runbook.local_stack.fakes.apexflow.database import DatabaseError, opened
from runbook.local_stack.fakes.apexflow.relay import Relay
from runbook.local_stack.fakes.apexflow.store import DuplicateEmailError, Store, UnknownLeadError
from runbook.local_stack.fakes.serving import (
    App,
    Request,
    Response,
    Route,
    Server,
    fail,
    json_response,
    log,
    routed,
)
from runbook.platforms import hold_signals, wait_for_end

NAME = "apexflow"
_LEADS_SHOWN = 50


class Api:
    """The HTTP API; `created` is called after each commit that put an event into the outbox."""

    def __init__(self, store: Store, created: Callable[[], None]) -> None:
        self._store = store
        self._created = created

    def app(self) -> App:
        """Return the four routes."""
        return routed(
            (
                Route("POST", "/leads", self._answering(self._create_lead)),
                Route("GET", "/leads", self._answering(self._list_leads)),
                Route("POST", "/jobs", self._answering(self._create_job)),
                Route("GET", "/health", lambda _: json_response(200, {"status": "healthy", "service": NAME})),
            )
        )

    def _answering(self, handler: Callable[[Request, str], Response]) -> App:
        """Return `handler` with the tenant, and with an answer for each way in which it can fail."""

        def answer(request: Request) -> Response:
            tenant = request.headers.get("x-tenant-id", "")
            if not tenant:
                return json_response(400, {"detail": "tenant required"})
            try:
                return handler(request, tenant)
            except bodies.InvalidBodyError as error:
                return json_response(422, {"detail": error.detail})
            except DuplicateEmailError as error:
                return json_response(409, {"detail": f"Lead with email {error} already exists"})
            except UnknownLeadError as error:
                return json_response(404, {"detail": f"Lead {error} not found"})
            except DatabaseError as error:
                log(f"database: {error}")
                return json_response(500, {"detail": "Internal Server Error"})

        return answer

    def _create_lead(self, request: Request, tenant: str) -> Response:
        lead = self._store.create_lead(tenant, bodies.parsed(request.body, bodies.LEAD))
        self._created()
        return json_response(200, lead)

    def _create_job(self, request: Request, tenant: str) -> Response:
        job = self._store.create_job(tenant, bodies.parsed(request.body, bodies.JOB))
        self._created()
        return json_response(200, job)

    def _list_leads(self, request: Request, tenant: str) -> Response:
        limit = request.query.get("limit", str(_LEADS_SHOWN))
        if not limit.isdecimal():
            problem = {"type": "int_parsing", "loc": ["query", "limit"], "input": limit}
            raise bodies.InvalidBodyError([problem | {"msg": "Input should be a valid integer"}])
        return json_response(200, self._store.leads(tenant, int(limit)))


def main() -> None:
    """Serve until SIGTERM."""
    options = _options()
    hold_signals()
    try:
        store = Store(opened(options.database))
    except DatabaseError as error:
        fail(NAME, f"cannot use {options.database}: {error}")
    relay = Relay(store, lambda: options.bootstrap or _address_in(options.bootstrap_file))
    with relay, Server(NAME, options.port, Api(store, relay.wake).app()):
        wait_for_end()


def _address_in(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument(
        "--database", required=True, metavar="FILE|URL",
        help="SQLite file, made if absent, or postgresql://USER@HOST:PORT/NAME; its password is read from PGPASSWORD",
    )  # fmt: skip
    kafka = parser.add_mutually_exclusive_group(required=True)
    kafka.add_argument("--bootstrap", help="Kafka's bootstrap.servers")
    kafka.add_argument("--bootstrap-file", type=Path, metavar="FILE", help="file that holds it, now or later")
    return parser.parse_args()


if __name__ == "__main__":
    main()
