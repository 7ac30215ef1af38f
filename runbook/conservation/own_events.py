"""Which events in Kafka are those of a run: what the API created, told apart from everything else that has its ids."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from runbook.model import Created, EntityKind
from runbook.systems.kafka.records import CrmEvent

Key = tuple[str, int]
"""Topic and id: what names one entity and its event."""

Place = tuple[str, int, int]
"""Topic, partition and offset: what names one message."""

CLOCK_TOLERANCE: Final = timedelta(seconds=2)
_CLOCKS_APART: Final = timedelta(minutes=1)
_EVENT_TYPES: Final[dict[EntityKind, str]] = {"lead": "lead.created", "job": "job.created"}
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC) + CLOCK_TOLERANCE


class _Labels(msgspec.Struct, gc=False):
    email: msgspec.Raw = msgspec.Raw()
    title: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Labels)


def events_of(created: Sequence[Created], events: Iterable[CrmEvent]) -> dict[Key, list[CrmEvent]]:
    """Return the events of each entity, by topic and id: none is missing, more than one has been produced again.

    ApexFlow's ids begin at 1 again when its database is emptied, so an event of another run may have the id, the
    tenant and the type of ours. The e-mail or title tells them apart; where the event has none, it must not be older
    than the request, as far as clocks agree.
    """
    wanted = {(entity.topic, entity.id): entity for entity in created}
    found: dict[Key, list[CrmEvent]] = {}
    for event in events:
        key = (event.topic, -1 if event.content.entity_id is None else event.content.entity_id)
        if key in wanted and _is_event_of(event, wanted[key]):
            found.setdefault(key, []).append(event)
    return found


def place_of(event: CrmEvent) -> Place:
    """Return where a message lies."""
    return event.topic, event.partition, event.offset


def produced_at(event: CrmEvent) -> datetime:
    """Return the message's time; one without a time is as old as can be."""
    return event.at or _NO_TIME


def _is_event_of(event: CrmEvent, entity: Created) -> bool:
    if (event.content.event_type, event.content.tenant_id) != (_EVENT_TYPES[entity.kind], entity.tenant_id):
        return False
    label = _label_of(event, entity.kind)
    if label and entity.label:
        return label.casefold() == entity.label.casefold()
    return event.at is None or event.at >= entity.sent_at - _CLOCKS_APART


def _label_of(event: CrmEvent, kind: EntityKind) -> str:
    """Return the e-mail of a lead or the title of a job; empty where the event has none."""
    try:
        fields = _decoder.decode(event.raw)
        return msgspec.json.decode(fields.email if kind == "lead" else fields.title, type=str)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
