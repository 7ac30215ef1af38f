"""Whether the sums of a journal agree with each other, and with the counters on the sink's /metrics."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from sink.journal.model import Partition, Totals
from sink.journal.reader import JournalReader

_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison of sums: whether they agree, and the sums."""

    agrees: bool
    text: str


def journal_findings(reader: JournalReader) -> list[Finding]:
    """Compare the messages counted with the offsets passed and with the messages stored, for each topic.

    An offset may hold no message: a transaction marker, or a message that compaction removed. So fewer messages may be
    counted than offsets passed, never more.
    """
    counted, passed, stored = _counted_by_topic(reader.totals()), Counter[str](), reader.messages_by_topic()
    for partition in reader.partitions():
        passed[partition.topic] += partition.passed
    return [
        Finding(
            agrees=stored.get(topic, 0) <= counted[topic] <= passed[topic],
            text=f"{topic}: {passed[topic]} offsets passed, {counted[topic]} messages counted, "
            f"{passed[topic] - counted[topic]} offsets without a message, {stored.get(topic, 0)} messages stored",
        )
        for topic in sorted({*counted, *passed, *stored})
    ]


def metrics_findings(reader: JournalReader, url: str) -> list[Finding]:
    """Compare the counters on /metrics with the journal's totals, for each topic, while the sink goes on counting.

    The counters and offsets of the page were read at one moment, those of the journal at another. Between the two,
    counters and offsets have grown by the same number. So counters minus offsets must be the same on both sides. That
    holds for a sink whose counters continue from the journal's totals: one with a SQLite journal.
    Raises OSError if the page cannot be read.
    """
    page = _metrics_page(url)
    stored = {partition.key: partition.position.next_offset for partition in reader.partitions()}
    counted, findings = _counted_by_topic(reader.totals()), []
    for topic in sorted({topic for topic, _ in stored}):
        partitions = {partition for partition in stored if partition[0] == topic}
        if not partitions <= page.next_offsets.keys():
            text = f"{topic}: {url} does not show the next offset of every partition"
            findings.append(Finding(agrees=False, text=text))
            continue
        on_page = page.counted[topic] - sum(page.next_offsets[partition] for partition in partitions)
        in_journal = counted[topic] - sum(stored[partition] for partition in partitions)
        text = f"{topic}: counters minus offsets are {on_page} on {url}, {in_journal} in the journal"
        findings.append(Finding(agrees=on_page == in_journal, text=text))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _MetricsPage:
    counted: Counter[str]  # messages by topic, ingested and rejected
    next_offsets: Mapping[Partition, int]


def _metrics_page(url: str) -> _MetricsPage:
    if not url.startswith(("http://", "https://")):
        raise OSError(f"--metrics is {url!r}; it must be an http:// or https:// URL")
    request = Request(url, headers={"Accept": "text/plain"})  # noqa: S310  # checked above
    with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310  # the same
        text = response.read().decode()
    counted: Counter[str] = Counter()
    next_offsets: dict[Partition, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in {"crm_events_ingested_total", "crm_events_rejected_total"}:
                counted[sample.labels["topic"]] += int(sample.value)
            elif sample.name == "crm_events_next_offset":
                next_offsets[sample.labels["topic"], int(sample.labels["partition"])] = int(sample.value)
    return _MetricsPage(counted=counted, next_offsets=next_offsets)


def _counted_by_topic(totals: Totals) -> Counter[str]:
    counted: Counter[str] = Counter()
    for (_, topic), count in totals.ingested.items():
        counted[topic] += count
    for (topic, _), count in totals.rejected.items():
        counted[topic] += count
    return counted
