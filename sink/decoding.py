"""Decoding the values of Kafka messages: each is an event, or is rejected for a reason."""

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
    """The two fields of a domain event that the sink needs; msgspec skips the others."""

    tenant_id: str
    event_type: str


class RejectReason(StrEnum):
    """Why a message is rejected: the label `reason` of crm_events_rejected_total."""

    NULL = "null_value"
    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_TENANT = "bad_tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """The events in the order of their messages, and the rejected messages by their index."""

    events: list[Event]
    rejected: dict[int, RejectReason]

    def tenants(self) -> list[str]:
        """Return the tenant of each event."""
        return [event.tenant_id for event in self.events]

    def types(self) -> list[str]:
        """Return the type of each event."""
        return [event.event_type for event in self.events]


_first, _last = itemgetter(0), itemgetter(-1)
_decoder = msgspec.json.Decoder(Event)


def decode_batch(values: Sequence[bytes | None]) -> DecodedBatch:
    """Decode all values in one call if that is certain to be right, else one by one."""
    events = _decoded_at_once(values)
    if events is not None:
        return DecodedBatch(events=events, rejected={})
    outcomes = [decode_one(value) for value in values]
    return DecodedBatch(
        events=[outcome for outcome in outcomes if isinstance(outcome, Event)],
        rejected={index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, RejectReason)},
    )


def decode_one(value: bytes | None) -> Event | RejectReason:
    """Decode one value: this defines what an event is."""
    if value is None:
        return RejectReason.NULL
    if not value.strip():
        return RejectReason.EMPTY
    try:
        value.decode()
        event = _decoder.decode(value)
    except UnicodeDecodeError:
        return RejectReason.NOT_UTF8
    except (msgspec.DecodeError, RecursionError):
        return _reason(value)
    return event if _is_tenant(event.tenant_id) else RejectReason.BAD_TENANT


def _decoded_at_once(values: Sequence[bytes | None]) -> list[Event] | None:
    r"""Decode the values as lines of one text, or return None if that could differ from decoding them one by one.

    Proof that each value is one event: every value begins and ends with a brace, so all separators are `}\n{`, which
    cannot occur within a JSON value; hence each value is one or more whole objects. There are as many results as
    values, so none is two. Comparing the numbers of lines and results is not enough: `{..}{..}` and an empty value
    would pass.
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
    """Check many names with a few calls into C: checking 500 one by one takes as long as decoding their events."""
    lengths = set(map(len, names))
    if min(lengths) < 1 or max(lengths) > MAX_TENANT_CHARS:
        return False
    text = "".join(names)
    return text.isprintable() or _CONTROL.search(text) is None


def _reason(value: bytes) -> RejectReason:
    """Return the reason for a value that is UTF-8, but not an event."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return RejectReason.NOT_JSON
    if not isinstance(document, dict):
        return RejectReason.NOT_OBJECT
    if not document.keys() >= {"tenant_id", "event_type"}:
        return RejectReason.MISSING_FIELD
    return RejectReason.WRONG_TYPE
