"""The pages of the sink before this one: its newest events, what was rejected, and an event once more.

They need a journal that keeps messages; without one they say so. Reading is free, as it was; a replay needs the token.
"""

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import closing
from hmac import compare_digest
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from sink.journal import journal_reader
from sink.journal.model import JournalAwayError
from sink.journal.reading import Kept, Reader
from sink.pages import Page, Request, Route, json_page
from sink.properties import producer_properties
from sink.replays import Replays
from sink.settings import Settings

_LARGEST_LIMIT: Final = 1000


def event_routes(settings: Settings) -> Mapping[str, Route]:
    """Return /events/latest, /dlq and /replay/ID."""
    replays = Replays(producer_properties(settings))

    def replayed(request: Request, reader: Reader) -> Page:
        refusal = _refused(request, settings.api_token)
        return refusal or _replayed(replays, reader, request.last)

    return {
        "GET /events/latest": _with_journal(settings, lambda request, reader: _newest(request, reader, rejected=False)),
        "GET /dlq": _with_journal(settings, lambda request, reader: _newest(request, reader, rejected=True)),
        "POST /replay/": _with_journal(settings, replayed),
    }


def _with_journal(settings: Settings, answer: Callable[[Request, Reader], Page]) -> Route:
    def page(request: Request) -> Page:
        try:
            reader = journal_reader(settings.journal) if settings.journal.keep_rows else None
            if reader is None:
                return _said(HTTPStatus.NOT_IMPLEMENTED, "no messages are kept: SINK_JOURNAL_EVENTS=rows keeps them")
            with closing(reader):
                return answer(request, reader)
        except JournalAwayError as error:
            return _said(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    return page


def _newest(request: Request, reader: Reader, *, rejected: bool) -> Page:
    limit = parse_qs(request.query).get("limit", ["20"])[0]
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= _LARGEST_LIMIT):
        return _said(
            HTTPStatus.BAD_REQUEST, f"limit is {limit!r}; allowed is a whole number from 1 to {_LARGEST_LIMIT}"
        )
    return json_page(HTTPStatus.OK, [_shown(kept) for kept in reader.latest(int(limit), rejected=rejected)])


def _shown(kept: Kept) -> dict[str, object]:
    """Return what the sink before this one showed, and for a rejected message where it stands and why."""
    shown: dict[str, object] = {
        "id": kept.id,
        "tenant_id": kept.tenant_id,
        "topic": kept.topic,
        "received_at": kept.received_at.replace(tzinfo=None).isoformat(),
    }
    if kept.reason is None:
        return shown
    return {**shown, "partition": kept.partition, "offset": kept.offset, "reason": kept.reason}


def _refused(request: Request, token: str) -> Page | None:
    """Return why this client may not change anything, or None.

    A page in the operator's browser may send a POST to loopback as well; a browser always names its origin then.
    """
    if token:
        if compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return None
        return _said(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer with SINK_API_TOKEN")
    address = ipaddress.ip_address(request.client.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback and "Origin" not in request.headers:
        return None
    return _said(HTTPStatus.FORBIDDEN, "without SINK_API_TOKEN only a program on this host may replay")


def _replayed(replays: Replays, reader: Reader, number: str) -> Page:
    if not (number.isascii() and number.isdigit() and len(number) < 19):  # noqa: PLR2004  # a 64-bit id
        return _said(HTTPStatus.BAD_REQUEST, f"{number!r} is no id")
    kept = reader.message(int(number))
    if kept is None:
        return _said(HTTPStatus.NOT_FOUND, f"no message with id {number} is kept")
    if kept.reason is not None:
        return _said(HTTPStatus.CONFLICT, f"message {number} is no event: {kept.reason}")
    problem = replays.send(kept)
    if problem:
        return _said(HTTPStatus.BAD_GATEWAY, f"Kafka did not take it: {problem}")
    return json_page(HTTPStatus.OK, {"status": "replayed", "id": kept.id, "topic": kept.topic})


def _said(status: HTTPStatus, detail: str) -> Page:
    return json_page(status, {"detail": detail})
