"""What the relay of broken/apexflow.py sends of an event: less, more, or something else."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from runbook.local_stack.fakes.apexflow.store import JOBS_TOPIC, Event

Change = Callable[[int, Event], list[Event]]
"""The number of an event since the start (from 1) and the event, to what is sent of it."""

NAMES: Final = {"leads": "apexflow.leads.created", "jobs": JOBS_TOPIC}
_OTHER: Final = dict(zip(NAMES.values(), reversed(NAMES.values()), strict=True))
_TEXT: Final = "x" * 40_000


class Raw(dict[str, Any]):
    """A value that is sent as these bytes."""

    def __init__(self, text: bytes | None) -> None:
        super().__init__()
        self.text = text


def json_of(event: Event) -> bytes:
    """Return the value as JSON."""
    return json.dumps(event.value).encode()


def _raw(make: Callable[[Event], bytes | None]) -> Callable[[Event], list[Event]]:
    return lambda event: [replace(event, value=Raw(make(event)))]


def _each(number: str, change: Callable[[Event], list[Event]]) -> Change:
    every = int(number)
    return lambda n, event: change(event) if n % every == 0 else [event]


def _of_topic(topic: str, change: Callable[[Event], list[Event]]) -> Change:
    return lambda _, event: change(event) if event.topic == NAMES[topic] else [event]


def _edited(**fields: object) -> Callable[[Event], list[Event]]:
    def edited(event: Event) -> list[Event]:
        value = {**event.value, **fields}
        return [replace(event, value={name: item for name, item in value.items() if item is not None})]

    return edited


def _first_again() -> Change:
    first: dict[str, Event] = {}

    def change(_: int, event: Event) -> list[Event]:
        return [replace(first.setdefault(event.topic, event), row=event.row)]

    return change


def _drops_then_doubles(number: str) -> Change:
    every = int(number)

    def change(n: int, event: Event) -> list[Event]:
        times = {0: 0, 1: 2}.get(n % every, 1) if n > 1 else 1
        return [event] * times

    return change


def _shifted(by: str) -> Change:
    return lambda _, event: [replace(event, value={**event.value, "id": event.value["id"] + int(by)})]


def _moved(topic: str, to: str) -> Change:
    return _of_topic(topic, lambda event: [replace(event, topic=NAMES.get(to, to))])


def _content_of_leads() -> Change:
    """Send the value of the newest lead in place of each job's."""
    last: dict[str, Any] = {}

    def change(_: int, event: Event) -> list[Event]:
        if event.topic != JOBS_TOPIC:
            last.update(event.value)
            return [event]
        return [replace(event, value=dict(last))]

    return change


def _packed() -> Change:
    """Send two events as two lines of one message; the first of a pair waits for the second."""
    waiting: list[Event] = []

    def change(_: int, event: Event) -> list[Event]:
        waiting.append(event)
        if len(waiting) == 1:
            return []
        lines = b"\n".join(map(json_of, waiting))
        waiting.clear()
        return [replace(event, value=Raw(lines))]

    return change


def _with_a_tombstone(event: Event) -> list[Event]:
    return [event, replace(event, value=Raw(None))]


def _pretty(event: Event) -> bytes:
    return json.dumps(dict(reversed(event.value.items())), indent=2).encode()


def _escaped(event: Event) -> bytes:
    """Return the same JSON with each letter of the tenant as an escape."""
    tenant = event.value["tenant_id"]
    escapes = "".join(f"\\u{ord(letter):04x}" for letter in tenant)
    return json_of(event).replace(f'"{tenant}"'.encode(), f'"{escapes}"'.encode())


def _one_behind() -> Change:
    """Send each event with the content of the one before it on its topic; the first has its own."""
    before: dict[str, dict[str, Any]] = {}

    def change(_: int, event: Event) -> list[Event]:
        content = before.get(event.topic, event.value)
        before[event.topic] = event.value
        return [replace(event, value=content)]

    return change


def _one_held_back() -> Change:
    """Hold each event until the next one comes: the newest never does."""
    held: list[Event] = []

    def change(_: int, event: Event) -> list[Event]:
        held.append(event)
        return [held.pop(0)] if len(held) > 1 else []

    return change


def _with_behind(fields: str) -> Callable[[Event], list[Event]]:
    """Write more fields behind those that are there, though they have the same names."""
    return _raw(lambda event: json_of(event)[:-1] + f", {fields}}}".encode())


def _ids_as(kind: Callable[[int], object]) -> Change:
    return lambda _, event: [replace(event, value={**event.value, "id": kind(event.value["id"])})]


def _id_with_an_exponent(event: Event) -> bytes:
    """Return the same JSON with the id as 1.700000e+01, which is the number 17."""
    number = event.value["id"]
    return json_of(event).replace(f'"id": {number},'.encode(), f'"id": {number:e},'.encode(), 1)


def _camel(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def _in_camel_case(_: int, event: Event) -> list[Event]:
    return [replace(event, value={_camel(name): item for name, item in event.value.items()})]


CHANGES: Final[dict[str, Callable[..., Change]]] = {
    "drops-every": lambda n: _each(n, lambda _: []),
    "drops-topic": lambda topic: _of_topic(topic, lambda _: []),
    "drops-first": lambda many: lambda n, event: [] if n <= int(many) else [event],
    "drops-after": lambda many: lambda n, event: [event] if n <= int(many) else [],
    "drops-then-doubles": _drops_then_doubles,
    "doubles-every": lambda n: _each(n, lambda event: [event, event]),
    "repeats": lambda topic, times: _of_topic(topic, lambda event: [event] * int(times)),
    "moves": _moved,
    "cuts-every": lambda n: _each(n, _raw(lambda event: json_of(event)[: len(json_of(event)) // 2])),
    "empties-every": lambda n: _each(n, _raw(lambda _: None)),
    "encodes-twice-every": lambda n: _each(n, _raw(lambda event: json.dumps(json_of(event).decode()).encode())),
    "gzips": lambda topic: _of_topic(topic, _raw(lambda event: gzip.compress(json_of(event)))),
    "schema-header": lambda: _each("1", _raw(lambda event: b"\0\0\0\0\7" + json_of(event))),
    "envelopes": lambda: _each("1", lambda event: [replace(event, value={"payload": event.value})]),
    "tenant-every": lambda n, tenant: _each(n, _edited(tenant_id=tenant)),
    "no-tenant-every": lambda n: _each(n, _edited(tenant_id=None)),
    "type-every": lambda n, kind: _each(n, _edited(event_type=kind)),
    "shifts-ids": _shifted,
    "first-again": _first_again,
    "adds-fields": lambda: _each("1", _edited(note=_TEXT, mood="\N{GRINNING FACE}", more={"a": [[{}]]}, score=1e-9)),
    "no-id": lambda: _each("1", _edited(id=None)),
    "no-type-every": lambda n: _each(n, _edited(event_type=None)),
    "id-of-lead": lambda: _of_topic("jobs", lambda event: _edited(id=event.value["lead_id"])(event)),
    "pads-tenant-every": lambda n: _each(n, lambda event: _edited(tenant_id=f"{event.value['tenant_id']} ")(event)),
    "lists-tenant": lambda topic: _of_topic(topic, lambda event: _edited(tenant_id=[event.value["tenant_id"]])(event)),
    "swaps-topics": lambda: lambda _, event: [replace(event, topic=_OTHER[event.topic])],
    "content-of-leads": _content_of_leads,
    "packs": _packed,
    "copies-to": lambda topic: lambda _, event: [event, replace(event, topic=topic)],
    "with-tombstones": lambda: _each("1", _with_a_tombstone),
    "pretty": lambda: _each("1", _raw(_pretty)),
    "escapes": lambda: _each("1", _raw(_escaped)),
    "one-behind": _one_behind,
    "camel-case": lambda: _in_camel_case,
    "holds-one-back": _one_held_back,
    "tenant-twice": lambda tenant: _each("1", _with_behind(f'"tenant_id": "{tenant}"')),
    "note-twice": lambda: _each("1", _with_behind('"note": 1, "note": {"tenant_id": "globex"}')),
    "single-quotes": lambda: _each("1", _raw(lambda event: str(event.value).encode())),
    "ids-as-text": lambda: _ids_as(str),
    "ids-with-a-point": lambda: _ids_as(float),
    "ids-with-an-exponent": lambda: _each("1", _raw(_id_with_an_exponent)),
    "with-another-inside": lambda: _each("1", _edited(before={"id": 1, "tenant_id": "globex", "event_type": "x"})),
    "with-names-in-capitals": lambda: _each("1", _edited(ID=1, TENANT_ID="globex", Event_Type="x")),
}
