"""The HTTP API of the previous sink: its newest events, the rejected messages, and replaying an event.

It needs a journal that stores messages; without one it answers what to set. Reading needs no token, as before; a replay
does.
"""

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import closing
from hmac import compare_digest
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from sink.http_server import Request, Response, Route, json_response
from sink.journal import journal_reader
from sink.journal.model import JournalUnavailableError
from sink.journal.reader import JournalReader, StoredMessage
from sink.properties import producer_properties
from sink.replays import ReplayProducer
from sink.settings import Settings

_MAX_LIMIT: Final = 1000


def event_routes(settings: Settings) -> Mapping[str, Route]:
    """Return /events/latest, /dlq and /replay/ID."""
    producer = ReplayProducer(producer_properties(settings))

    def replay(request: Request, reader: JournalReader) -> Response:
        refusal = _refusal(request, settings.api_token)
        return refusal or _replay(producer, reader, request.last_segment)

    return {
        "GET /events/latest": _with_journal(settings, lambda request, reader: _latest(request, reader, rejected=False)),
        "GET /dlq": _with_journal(settings, lambda request, reader: _latest(request, reader, rejected=True)),
        "POST /replay/": _with_journal(settings, replay),
    }


def _with_journal(settings: Settings, answer: Callable[[Request, JournalReader], Response]) -> Route:
    def respond(request: Request) -> Response:
        try:
            reader = journal_reader(settings.journal) if settings.journal.stores_messages else None
            if reader is None:
                return _error(HTTPStatus.NOT_IMPLEMENTED, "no messages are stored; set SINK_JOURNAL_EVENTS=rows")
            with closing(reader):
                return answer(request, reader)
        except JournalUnavailableError as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    return respond


def _latest(request: Request, reader: JournalReader, *, rejected: bool) -> Response:
    limit = parse_qs(request.query).get("limit", ["20"])[0]
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _MAX_LIMIT):
        detail = f"limit is {limit!r}; it must be a whole number from 1 to {_MAX_LIMIT}"
        return _error(HTTPStatus.BAD_REQUEST, detail)
    return json_response(HTTPStatus.OK, [_item(message) for message in reader.latest(int(limit), rejected=rejected)])


def _item(message: StoredMessage) -> dict[str, object]:
    """Return the fields that the previous sink had; for a rejected message also its partition, offset and reason."""
    item: dict[str, object] = {
        "id": message.id,
        "tenant_id": message.tenant_id,
        "topic": message.topic,
        "received_at": message.received_at.replace(tzinfo=None).isoformat(),
    }
    if message.reason is None:
        return item
    return {**item, "partition": message.partition, "offset": message.offset, "reason": message.reason}


def _refusal(request: Request, token: str) -> Response | None:
    """Return the response for a client that may not replay, or None.

    A web page in a browser on this host can send a POST to loopback, too; but then the browser sends an Origin.
    """
    if token:
        if compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return None
        return _error(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer with SINK_API_TOKEN")
    address = ipaddress.ip_address(request.client.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback and "Origin" not in request.headers:
        return None
    return _error(HTTPStatus.FORBIDDEN, "without SINK_API_TOKEN only a program on this host may replay")


def _replay(producer: ReplayProducer, reader: JournalReader, number: str) -> Response:
    if not (number.isascii() and number.isdigit() and len(number) < 19):  # noqa: PLR2004  # a 64-bit id
        return _error(HTTPStatus.BAD_REQUEST, f"{number!r} is not an id")
    message = reader.message(int(number))
    if message is None:
        return _error(HTTPStatus.NOT_FOUND, f"no message with id {number} is stored")
    if message.reason is not None:
        return _error(HTTPStatus.CONFLICT, f"message {number} is not an event: {message.reason}")
    problem = producer.send(message)
    if problem:
        return _error(HTTPStatus.BAD_GATEWAY, f"Kafka did not acknowledge it: {problem}")
    return json_response(HTTPStatus.OK, {"status": "replayed", "id": message.id, "topic": message.topic})


def _error(status: HTTPStatus, detail: str) -> Response:
    return json_response(status, {"detail": detail})
