"""What Kafka holds of the two topics: how old the newest events are, and how many the sink has not read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.settings import KafkaSettings

Place = tuple[str, int]

_LAST = 10  # the last offset may belong to no event: transactions and compaction leave gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """The newest event's time by topic (None: no event), the ends by (topic, partition), and the unread messages."""

    newest: Mapping[str, datetime | None]
    end_offsets: Mapping[Place, int]
    unread: int


def read_topics(
    kafka: Kafka, settings: KafkaSettings, deadline_s: float, next_offsets: Mapping[Place, int]
) -> TopicFacts:
    """Read both topics. `next_offsets` are the sink's own positions; where it shows none, its group's commits count."""
    topics = (settings.lead_topic, settings.job_topic)
    ends, starts, committed = kafka.end_offsets(topics), kafka.start_offsets(topics), kafka.committed(topics)
    last = {place: (max(starts.get(place, 0), end - _LAST), end) for place, end in ends.items()}
    between = {place: (start, end) for place, (start, end) in last.items() if start < end}
    newest: dict[str, datetime | None] = dict.fromkeys(topics)
    for event in kafka.events(between, deadline_s=deadline_s) if between else ():
        if event.content.rejected:  # what is no event moves no panel
            continue
        before = newest[event.topic]
        newest[event.topic] = event.at if before is None or (event.at and event.at > before) else before
    known = {place: offset for place, offset in committed.items() if offset is not None} | dict(next_offsets)
    unread = sum(max(0, end - known.get(place, starts.get(place, 0))) for place, end in ends.items())
    return TopicFacts(newest=newest, end_offsets=ends, unread=unread)
