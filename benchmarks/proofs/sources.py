"""What the oracle reads, each with a plain client of its own: Kafka, the sink's page, Prometheus, the sink's log."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import confluent_kafka as kafka
import requests
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from runbook.local_stack.service_spec import PARTITIONS, TOPICS

Place = tuple[str, int]
"""Topic and partition."""
Series = tuple[str, str]
"""Topic and tenant."""

_ANSWER_S: Final = 10.0
_JOB: Final = "crm-events-sink"
_PANEL: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the sink: all of one moment."""

    counted: Mapping[Series, int]
    positions: Mapping[Place, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in Kafka; `at_s` is the broker's timestamp (Unix)."""

    topic: str
    partition: int
    offset: int
    at_s: float
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The positions of one scrape, by the time of the sample (Unix)."""

    at_s: float
    positions: Mapping[Place, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Addresses of the sources."""

    bootstrap: str
    metrics_url: str
    prometheus_url: str
    sink_log: Path
    dashboard: Path
    topics: tuple[str, ...] = TOPICS

    def ends(self) -> Mapping[Place, int]:
        """Return the end of each partition."""
        with closing(self._consumer()) as consumer:
            return {
                (place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=_ANSWER_S)[1]
                for place in self._places()
            }

    def messages(self, starts: Mapping[Place, int], ends: Mapping[Place, int]) -> list[Message]:
        """Return the messages between two positions. Raises TimeoutError."""
        missing = sum(ends[place] - starts[place] for place in ends)
        found: list[Message] = []
        with closing(self._consumer()) as consumer:
            consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
            while missing:
                message = consumer.poll(_ANSWER_S)
                if message is None:
                    raise TimeoutError(f"{missing} messages of Kafka did not come")
                one = _message(message) if message.error() is None else None
                if one is not None and one.offset < ends[one.topic, one.partition]:
                    missing -= 1
                    found.append(one)
        return found

    def page(self) -> Page:
        """Return the sink's page, read as a browser reads it. Raises requests.RequestException."""
        answer = requests.get(self.metrics_url, timeout=_ANSWER_S)
        answer.raise_for_status()
        counted: dict[Series, int] = {}
        positions: dict[Place, int] = {}
        for family in text_string_to_metric_families(answer.text):
            for name, labels, value, *_ in family.samples:
                if name == "crm_events_ingested_total":
                    counted[labels["topic"], labels["tenant_id"]] = int(value)
                elif name == "crm_events_next_offset":
                    positions[labels["topic"], int(labels["partition"])] = int(value)
        return Page(counted=counted, positions=positions)

    def newest_positions(self) -> Mapping[Place, int]:
        """Return the positions of Prometheus's newest scrape. Raises requests.RequestException."""
        series = self._query(f'crm_events_next_offset{{job="{_JOB}"}}')
        return {_place(one["metric"]): int(float(one["value"][1])) for one in series}

    def scraped_s(self) -> float:
        """Return when Prometheus has scraped the sink last (Unix; 0: never). Raises requests.RequestException."""
        return max((float(one["value"][1]) for one in self._query(f'timestamp(up{{job="{_JOB}"}})')), default=0.0)

    def samples(self, since_s: float, now_s: float) -> list[Sample]:
        """Return every scrape with positions since a moment, oldest first. Raises requests.RequestException."""
        series = self._query(
            f'crm_events_next_offset{{job="{_JOB}"}}[{int(now_s - since_s) + 2}s]', time=f"{now_s:.3f}"
        )
        by_time: dict[float, dict[Place, int]] = {}
        for one in series:
            for at, value in one["values"]:
                by_time.setdefault(float(at), {})[_place(one["metric"])] = int(float(value))
        return [Sample(at_s=at, positions=by_time[at]) for at in sorted(by_time)]

    def first_shown(self, since_s: float, now_s: float) -> Mapping[str, float]:
        """Return topic -> time of the first point above zero since a moment, by panel 20's query in steps of 1 s."""
        document = json.loads(self.dashboard.read_text("utf-8-sig"))
        [panel] = (panel for panel in document["panels"] if panel["id"] == _PANEL)
        answer = requests.get(
            f"{self.prometheus_url}/api/v1/query_range",
            params={
                "query": panel["targets"][0]["expr"],
                "start": f"{since_s:.3f}",
                "end": f"{now_s:.3f}",
                "step": "1",
            },
            timeout=_ANSWER_S,
        )
        answer.raise_for_status()
        shown = {}
        for one in answer.json()["data"]["result"]:
            above = [float(at) for at, value in one["values"] if float(value) > 0]
            if above:
                shown[one["metric"]["topic"]] = above[0]
        return shown

    def log_size(self) -> int:
        """Return the size of the sink's log in bytes."""
        return self.sink_log.stat().st_size if self.sink_log.exists() else 0

    def received(self, since: int, tenant: str) -> Counter[str]:
        """Return event type -> lines of the sink's log for a tenant, from a byte on."""
        found: Counter[str] = Counter()
        with self.sink_log.open("rb") as log:
            log.seek(since)
            for line in log.read().decode("utf-8", "replace").splitlines():
                _, _, said = line.partition("] Received ")
                event_type, _, of_tenant = said.partition(" for tenant ")
                if of_tenant == tenant:
                    found[event_type] += 1
        return found

    def _query(self, query: str, **parameters: str) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{self.prometheus_url}/api/v1/query", params={"query": query, **parameters}, timeout=_ANSWER_S
        )
        answer.raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def _consumer(self) -> Consumer:
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"oracle-{uuid4()}", "log_level": 3})

    def _places(self) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in self.topics for number in range(PARTITIONS)]


def _message(given: kafka.Message) -> Message:
    topic, partition, offset = given.topic(), given.partition(), given.offset()
    assert topic is not None and partition is not None and offset is not None  # noqa: PT018, S101 - it was received
    at_s = given.timestamp()[1] / 1000
    return Message(topic=topic, partition=partition, offset=offset, at_s=at_s, value=given.value())


def _place(labels: Mapping[str, str]) -> Place:
    return labels["topic"], int(labels["partition"])
