"""From the bytes of Kafka messages to events, or to the reason why a message is none."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Final

import msgspec

MAX_TENANT_CHARS: Final = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Event(msgspec.Struct, gc=False):
    """The two fields of a domain event that the sink needs; msgspec skips the others unread."""

    tenant_id: str
    event_type: str


class Reason(StrEnum):
    """Why a message is not an event: the label `reason` of crm_events_rejected_total."""

    NULL = "null_value"
    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TENANT = "bad_tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The events of a batch in its order, and by their index the messages that are none."""

    events: list[Event]
    rejected: dict[int, Reason]

    def tenants(self) -> list[str]:
        """Return the events' tenants in their order."""
        return [event.tenant_id for event in self.events]

    def types(self) -> list[str]:
        """Return the events' types in their order."""
        return [event.event_type for event in self.events]


_first, _last = itemgetter(0), itemgetter(-1)
_decoder = msgspec.json.Decoder(Event)


def decode_batch(values: Sequence[bytes | None]) -> Decoded:
    """Decode a batch in one call where that is certain to be right, else value by value."""
    events = _decoded_whole(values)
    if events is not None:
        return Decoded(events=events, rejected={})
    outcomes = [decode_one(value) for value in values]
    return Decoded(
        events=[outcome for outcome in outcomes if isinstance(outcome, Event)],
        rejected={index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, Reason)},
    )


def decode_one(value: bytes | None) -> Event | Reason:
    """Decode one value: the definition of what an event is."""
    if value is None:
        return Reason.NULL
    if not value.strip():
        return Reason.EMPTY
    try:
        value.decode()
        event = _decoder.decode(value)
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    except (msgspec.DecodeError, RecursionError):
        return _reason(value)
    return event if _is_tenant(event.tenant_id) else Reason.BAD_TENANT


def _decoded_whole(values: Sequence[bytes | None]) -> list[Event] | None:
    r"""Decode the values as lines of one text, or return None if that could differ from one by one.

    The proof that each value gave one event: every value begins and ends with a brace, so all the separators are
    `}\n{`, which cannot occur within a JSON value; hence each value holds whole objects. As there are as many results
    as values, none holds two. Comparing the counts of lines and results is not enough: `{..}{..}` and an empty value
    pass.
    """
    try:
        if set(map(_first, values)) != {ord("{")} or set(map(_last, values)) != {ord("}")}:  # type: ignore[arg-type]  # a null value raises TypeError
            return None
        text = b"\n".join(values)  # type: ignore[arg-type]  # the same
        if not text.isascii():
            text.decode()
        events = _decoder.decode_lines(text)
    except (TypeError, IndexError, UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    if len(events) != len(values):
        return None
    return events if _are_tenants({event.tenant_id for event in events}) else None


def _is_tenant(tenant_id: str) -> bool:
    return _are_tenants({tenant_id})


def _are_tenants(names: Collection[str]) -> bool:
    """Check many names in two steps of C: one by one, 500 of them take as long as their events' JSON."""
    lengths = set(map(len, names))
    if min(lengths) < 1 or max(lengths) > MAX_TENANT_CHARS:
        return False
    text = "".join(names)
    return text.isprintable() or _CONTROL.search(text) is None


def _reason(value: bytes) -> Reason:
    """Say what is wrong with a value that is UTF-8, but no event."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return Reason.NOT_JSON
    if not isinstance(document, dict):
        return Reason.NOT_OBJECT
    if not document.keys() >= {"tenant_id", "event_type"}:
        return Reason.MISSING_FIELD
    return Reason.WRONG_TYPE
