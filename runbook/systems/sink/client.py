"""The CRM events sink: its metrics page, read as Prometheus reads it, and its health."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from math import isfinite
from typing import TYPE_CHECKING, Final

import msgspec

from runbook.errors import FOREIGN
from runbook.systems.http import HttpClient
from runbook.systems.sink.settings import SinkSettings

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

_INGESTED: Final = "crm_events_ingested_total"
_REJECTED: Final = "crm_events_rejected_total"
_LOST: Final = "crm_events_lost_total"
_NEXT_OFFSET: Final = "crm_events_next_offset"
_STARTED: Final = "process_start_time_seconds"
_BUILD: Final = "crm_events_sink_build_info"
_ASSIGNMENTS: Final = "crm_events_assignments_total"
_TENANTS_LIMIT: Final = "crm_events_tenants_limit"
_NAMES: Final = (_INGESTED, _REJECTED, _LOST, _NEXT_OFFSET, _STARTED, _BUILD, _ASSIGNMENTS, _TENANTS_LIMIT)
TIME_TO_JOIN_S: Final = 60.0
"""Within this time a sink that has started gets its partitions."""

_MOST_SERIES: Final = 200_000
_MOST_IN_LINE: Final = 65_536
_LABELS: Final = 2  # of each of the sink's series


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkPage:
    """The sink's counters at one moment.

    `counters` is by (tenant_id, topic), `rejected` by (topic, reason), `next_offsets` by (topic, partition): the
    position that belongs to these counters. Older sinks tell neither rejected events nor positions. `has_counter` is
    False when no series of the ingested counter is there. `at` is when the page had arrived. `started_s` is when the
    process began (Unix time; None: not told), `journal` its kind: with "sqlite" the totals outlive the process.
    `assignments` is how often its partitions were set (None: not told), `took_s` how long the page took, in seconds.
    `tenants_limit` is how many tenants may have series of their own (None: not told). `lost` are, by topic, the
    offsets that Kafka deleted before it had counted them.
    """

    counters: Mapping[tuple[str, str], float]
    rejected: Mapping[tuple[str, str], float]
    next_offsets: Mapping[tuple[str, int], int]
    has_counter: bool
    at: datetime
    size_bytes: int
    started_s: float | None = None
    journal: str = ""
    assignments: float | None = None
    tenants_limit: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)
    took_s: float = field(default=0.0, compare=False)

    @property
    def is_joining(self) -> bool:
        """Whether it shows nothing because its process, started a moment ago, may not have its partitions yet."""
        is_young = self.started_s is not None and self.at.timestamp() - self.started_s < TIME_TO_JOIN_S
        return is_young and not (self.counters or self.next_offsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkHealth:
    """What /health says: 200 "healthy", or another status with its word."""

    status_code: int
    status: str


class Sink:
    """One sink. Every method raises UnreachableError, and AnswerError when the answer is not as documented."""

    def __init__(self, settings: SinkSettings, timeout_s: float = 10) -> None:
        """Keep the addresses; nothing is opened."""
        check = f"check that the sink ({settings.container}) runs, and that"
        query = settings.metrics_query.get_secret_value() if settings.metrics_query else ""
        self._metrics_query = f"?{query}" if query else ""
        self._metrics = HttpClient(
            "The sink's metrics page",
            settings.metrics_url,
            auth=settings.login("metrics_"),
            token=settings.bearer("metrics_"),
            secrets=(query,),
            tls=settings.tls,
            address=settings.place_of("metrics_url"),
            places={"login": settings.login_places("metrics_")},
            headers={"Accept": "text/plain"},
            timeout_s=timeout_s,
            fix=f"{check} {settings.place_of('metrics_url')} is the page that Prometheus scrapes",
        )
        self._health = HttpClient(
            "The sink",
            settings.http_url,
            auth=settings.login("http_"),
            token=settings.bearer("http_"),
            tls=settings.tls,
            address=settings.place_of("http_url"),
            places={"login": settings.login_places("http_")},
            timeout_s=timeout_s,
            fix=f"{check} {settings.place_of('http_url')} is its address",
        )

    def page(self) -> SinkPage:
        """Read the metrics page."""
        answer = self._metrics.get(self._metrics_query).expected(HTTPStatus.OK)
        if _is_too_large(answer.body):
            seen = (
                f"The sink's metrics page holds more than {_MOST_SERIES:,} series, or a line of {_MOST_IN_LINE:,} bytes"
            )
            raise answer.error(seen, code="too_large")
        try:
            samples = _samples(answer.text)
            return SinkPage(
                counters={(one.labels["tenant_id"], one.labels["topic"]): one.value for one in samples[_INGESTED]},
                rejected={(one.labels["topic"], one.labels["reason"]): one.value for one in samples[_REJECTED]},
                next_offsets={
                    (one.labels["topic"], int(one.labels["partition"])): int(one.value) for one in samples[_NEXT_OFFSET]
                },
                has_counter=bool(samples[_INGESTED]),
                at=answer.answered_at,
                size_bytes=len(answer.body),
                started_s=next((one.value for one in samples[_STARTED]), None),
                journal=next((one.labels.get("journal", "") for one in samples[_BUILD]), ""),
                assignments=next((one.value for one in samples[_ASSIGNMENTS]), None),
                tenants_limit=next((one.value for one in samples[_TENANTS_LIMIT]), None),
                lost={one.labels["topic"]: one.value for one in samples[_LOST]},
                took_s=answer.took_s,
            )
        except KeyError as error:
            raise answer.error(f"A series of the sink has no label {error}") from None
        except (*FOREIGN, IndexError):
            raise answer.unexpected(
                f"The sink's metrics page is not in Prometheus's text format: {answer.excerpt}"
            ) from None

    def health(self) -> SinkHealth:
        """Ask whether it is healthy; another status than 200 is an answer, not an error."""
        answer = self._health.get("/health")
        if not answer.is_json:
            answer.expected(HTTPStatus.OK)
        return SinkHealth(status_code=answer.status, status=answer.read(_Health).status)

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._metrics.close()
        self._health.close()


class _Health(msgspec.Struct, frozen=True):
    status: str


def _is_too_large(page: bytes) -> bool:
    """Say whether the parser, which takes 30 microseconds a line and more for a long one, would need too long."""
    series = max(page.count(b"\n"), page.count(b'="') // _LABELS)
    return series > _MOST_SERIES or max(map(len, page.split(b"\n"))) > _MOST_IN_LINE


def _samples(page: str) -> "dict[str, list[Sample]]":
    """Return the samples of the metrics that are read, by name; ValueError when the page is no exposition."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, list[Sample]] = {name: [] for name in _NAMES}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in found:
                if not isfinite(sample.value):
                    raise ValueError(f"{sample.value} is no number of events")
                found[sample.name].append(sample)
    return found
