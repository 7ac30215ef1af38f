"""The benchmark's own count, at the sources themselves: nothing of the product's arithmetic is in it."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.losses.asking import ask_prometheus, fetched
from benchmarks.losses.events import TOPICS
from benchmarks.losses.showing import QUERY, asked_by_panel, panel
from benchmarks.losses.world import World

Counts = Counter[tuple[str, str]]
"""Events by topic and tenant; under no tenant, what is rejected because it is no event."""

COUNTER: Final = "crm_events_ingested_total"
REJECTED: Final = "crm_events_rejected_total"
_SHOWN: Final = 4
_LONGEST_TENANT: Final = 255
_WAIT_S: Final = 10.0
_RANGE_S: Final = 120
_STEP_S: Final = 5
_TYPES: Final = {"lead": "lead.created", "job": "job.created"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two sources hold by topic and tenant.

    `differ` has, for each topic and tenant that do not agree, the integers (out less in) that are true of them: where
    an event is missing and another is there twice, each of the two, and their sum.
    """

    before: Counts
    after: Counts
    differ: Mapping[tuple[str, str], frozenset[int]]

    def __str__(self) -> str:
        keys = sorted(self.differ)
        shown = "; ".join(
            f"{_short(topic)} {tenant or '-'} {self.before[topic, tenant]} in, {self.after[topic, tenant]} out"
            for topic, tenant in keys[:_SHOWN]
        )
        more = f"; {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        return f"{shown}{more} ({self.before.total()} in, {self.after.total()} out)"

    def document(self) -> dict[str, list[Any]]:
        """Return it as JSON has it."""
        return {
            "before": [[*key, number] for key, number in sorted(self.before.items())],
            "after": [[*key, number] for key, number in sorted(self.after.items())],
            "differ": [[*key, sorted(numbers)] for key, numbers in sorted(self.differ.items())],
        }

    @classmethod
    def of(cls, document: Mapping[str, list[Any]]) -> Self:
        """Return what `document` has written."""
        before, after = (Counter({(t, n): count for t, n, count in document[side]}) for side in ("before", "after"))
        differ = {(topic, tenant): frozenset[int](numbers) for topic, tenant, numbers in document["differ"]}
        return cls(before=before, after=after, differ=differ)


def _short(topic: str) -> str:
    return topic.removeprefix("apexflow.").removesuffix(".created")


def difference(kind: str, world: World) -> Difference | None:
    """Count now between the two sources of an oracle; None where it has none."""
    return _ORACLES[kind](world) if kind else None


def sums(world: World) -> str:
    """Count at all sources now, for the reader who judges what was said of a decoy."""
    sources = {"Kafka": in_kafka, "page": on_pages, "Prometheus": in_prometheus}
    return ", ".join(f"{name} {count(world).total()}" for name, count in sources.items())


def messages(bootstrap: str) -> list[tuple[str, bytes | None]]:
    """Return topic and value of all messages of both topics."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False, "log_level": 0}
    )
    try:
        found = consumer.list_topics(timeout=_WAIT_S).topics
        parts = [TopicPartition(t, number) for t in TOPICS.values() if t in found for number in found[t].partitions]
        bounds = {(one.topic, one.partition): consumer.get_watermark_offsets(one, timeout=_WAIT_S) for one in parts}
        left = sum(high - low for low, high in bounds.values())
        consumer.assign([TopicPartition(t, p, low) for (t, p), (low, _) in bounds.items()])
        read: list[tuple[str, bytes | None]] = []
        while left and (batch := consumer.consume(min(left, 1000), _WAIT_S)):
            mine = [one for one in batch if one.error() is None]
            read += [(one.topic() or "", one.value()) for one in mine]
            left -= len(mine)
        return read
    finally:
        consumer.close()


def parsed(value: bytes | None) -> dict[str, Any] | None:
    """Return an event; None for anything else."""
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("event_type"), str):
        return None
    tenant = document.get("tenant_id")
    is_tenant = isinstance(tenant, str) and 0 < len(tenant) <= _LONGEST_TENANT and tenant.isprintable()
    return document if is_tenant else None


def created(world: World) -> Counts:
    """Count what the API has answered."""
    return Counter((row["topic"], row["tenant_id"]) for row in world.created)


def in_kafka(world: World) -> Counts:
    """Count the events in Kafka, and what is none."""
    events = ((topic, parsed(value)) for topic, value in messages(world.bootstrap))
    return Counter((topic, event["tenant_id"] if event else "") for topic, event in events)


def on_pages(world: World) -> Counts:
    """Read the counters where the sink itself shows them, without a proxy, and not as a scrape."""
    counts: Counts = Counter()
    for url in (world.target.sink.metrics_url, *world.pages):
        for family in text_string_to_metric_families(fetched(url).decode()):
            for sample in family.samples:
                if sample.name in {COUNTER, REJECTED}:
                    counts[sample.labels["topic"], sample.labels.get("tenant_id", "")] += int(sample.value)
    return +counts


def in_prometheus(world: World) -> Counts:
    """Ask Prometheus for the newest samples of the counters, all series that a sum would add."""
    result = world.prometheus("query", query=f'sum by (topic, tenant_id) ({{__name__=~"{COUNTER}|{REJECTED}"}})')[
        "result"
    ]
    counts: Counts = Counter()
    for one in result:
        counts[one["metric"].get("topic", ""), one["metric"].get("tenant_id", "")] += round(float(one["value"][1]))
    return +counts


def _between(before: Callable[[World], Counts], after: Callable[[World], Counts]) -> Callable[[World], Difference]:
    def compared(world: World) -> Difference:
        first, second = before(world), after(world)
        differ = {key: frozenset({second[key] - first[key]}) for key in {*first, *second} if second[key] != first[key]}
        return Difference(before=first, after=second, differ=differ)

    return compared


def _api_to_kafka(world: World) -> Difference:
    """Look for the event of each created lead and job: none is missing, two are one too many.

    Where each has one, that is true as well as what other events of the tenant are on the topic.
    """
    read = [(topic, event) for topic, value in messages(world.bootstrap) if (event := parsed(value))]
    there = Counter((topic, event.get("id"), event["tenant_id"], event["event_type"]) for topic, event in read)
    of_tenant = Counter((topic, event["tenant_id"]) for topic, event in read)
    wanted = created(world)
    found: Counts = Counter()
    differ: dict[tuple[str, str], frozenset[int]] = {}
    for key in wanted:
        rows = [row for row in world.created if (row["topic"], row["tenant_id"]) == key]
        named = Counter((row["topic"], row["id"], row["tenant_id"], _TYPES[row["kind"]]) for row in rows)
        times = {one: there[one] for one in named}
        found[key] = sum(times.values())
        missing = sum(max(0, wanted_times - times[one]) for one, wanted_times in named.items())
        twice = sum(max(0, times[one] - wanted_times) for one, wanted_times in named.items())
        if numbers := {-missing, twice, twice - missing, of_tenant[key] - wanted[key]} - {0}:
            differ[key] = frozenset(numbers if missing or twice else {0, *numbers})
    return Difference(before=wanted, after=found, differ=differ)


def _prometheus_to_grafana(world: World) -> Difference:
    """Put panel 20's query to Prometheus, and the panel's own to where Grafana asks; compare the series."""
    end = time.time()
    form = {"start": f"{end - _RANGE_S:.0f}", "end": f"{end:.0f}", "step": str(_STEP_S)}
    own = panel(world)["targets"][0]["expr"]
    mine = _series(ask_prometheus(world.target.prometheus.url, "query_range", query=QUERY, **form))
    shown = _series(ask_prometheus(asked_by_panel(world), "query_range", query=own, **form))
    differ = {topic for topic in {*mine, *shown} if not _are_alike(mine.get(topic, {}), shown.get(topic, {}))}
    points = [
        Counter({(topic, ""): sum(map(bool, one.values())) for topic, one in side.items()}) for side in (mine, shown)
    ]
    return Difference(before=points[0], after=points[1], differ={(topic, ""): frozenset[int]() for topic in differ})


def _series(data: Any) -> dict[str, dict[float, float]]:  # noqa: ANN401  # JSON
    return {
        one["metric"].get("topic", ""): {float(at): float(value) for at, value in one["values"]}
        for one in data["result"]
    }


def _are_alike(mine: Mapping[float, float], shown: Mapping[float, float]) -> bool:
    return mine.keys() == shown.keys() and all(math.isclose(value, shown[at]) for at, value in mine.items())


_ORACLES: Final[dict[str, Callable[[World], Difference]]] = {
    "api-kafka": _api_to_kafka,
    "kafka-sink": _between(in_kafka, on_pages),
    "sink-prometheus": _between(on_pages, in_prometheus),
    "kafka-prometheus": _between(in_kafka, in_prometheus),
    "prometheus-grafana": _prometheus_to_grafana,
}
