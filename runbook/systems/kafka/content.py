"""What an event is: the same definition as the sink's, so that both count alike.

The sink reads two fields and skips the others unread: a number that no float can hold, in a field that nobody reads,
does not make a message less of an event. A contract test holds this module against the sink's own decoding.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

_MAX_TENANT_CHARS: Final = 255
_EXACT: Final = 2**53  # above, a float stands for several whole numbers
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says. `rejected` is why it is no event, in the sink's words; empty for an event.

    `entity_id` is the id of its lead or job; None where it has none that is a whole number.
    """

    tenant_id: str = ""
    event_type: str = ""
    entity_id: int | None = None
    rejected: str = ""


class _Fields(msgspec.Struct, gc=False):
    tenant_id: str
    event_type: str
    id: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Fields)


def content_of(value: bytes | None) -> Content:
    """Return what the value of a message says."""
    if value is None:
        return Content(rejected="null_value")
    if not value.strip():
        return Content(rejected="empty")
    try:
        value.decode()
        fields = _decoder.decode(value)
    except UnicodeDecodeError:
        return Content(rejected="not_utf8")
    except (msgspec.DecodeError, RecursionError):
        return Content(rejected=_reason(value))
    if not _is_tenant(fields.tenant_id):
        return Content(rejected="bad_tenant")
    return Content(tenant_id=fields.tenant_id, event_type=fields.event_type, entity_id=_whole_number(fields.id))


def _is_tenant(name: str) -> bool:
    return 1 <= len(name) <= _MAX_TENANT_CHARS and not _CONTROL.search(name)


def _whole_number(written: msgspec.Raw) -> int | None:
    """Return the number; 17.0 and 1.7e1 are 17, too."""
    try:
        number = msgspec.json.decode(written, type=int | float, strict=True)
    except (msgspec.DecodeError, ValueError):
        return None
    if isinstance(number, int):
        return number
    return int(number) if number.is_integer() and abs(number) < _EXACT else None


def _reason(value: bytes) -> str:
    """Return the reason for a value that is UTF-8, but not an event."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return "not_json"
    if not isinstance(document, dict):
        return "not_an_object"
    return "wrong_type" if document.keys() >= {"tenant_id", "event_type"} else "missing_field"
