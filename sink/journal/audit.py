"""Whether the sums of a journal agree with each other, and with the counters that the sink shows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.request import Request, urlopen

from prometheus_client.parser import text_string_to_metric_families

from sink.journal.model import Partition, Totals
from sink.journal.reading import Reader

_ANSWER_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sum, and whether it is right."""

    right: bool
    text: str


def against_itself(reader: Reader) -> list[Finding]:
    """Compare for each topic the messages that were counted with the offsets that were passed, and with what is kept.

    An offset may hold no message: a marker of a transaction, or one that compaction took. So fewer may be counted
    than passed, and never more.
    """
    counted, passed, kept = _by_topic(reader.totals()), Counter[str](), reader.kept_by_topic()
    for place in reader.places():
        passed[place.partition[0]] += place.passed
    return [
        Finding(
            right=kept.get(topic, 0) <= counted[topic] <= passed[topic],
            text=f"{topic}: {passed[topic]} offsets passed, {counted[topic]} messages counted, "
            f"{passed[topic] - counted[topic]} offsets without a message, {kept.get(topic, 0)} messages kept",
        )
        for topic in sorted({*counted, *passed, *kept})
    ]


def against_page(reader: Reader, url: str) -> list[Finding]:
    """Compare for each topic the counters of a page with the totals, although the sink goes on counting.

    Counters and positions of a page are of one moment, and so are those of the journal; between the two moments both
    grow by the same number. So counters less positions must be the same on both sides. It holds for a sink that goes
    on from the journal's totals, which is one with a SQLite journal. Raises OSError if the page cannot be read.
    """
    page = _page(url)
    stored = {place.partition: place.position.next_offset for place in reader.places()}
    counted, findings = _by_topic(reader.totals()), []
    for topic in sorted({topic for topic, _ in stored}):
        partitions = {partition for partition in stored if partition[0] == topic}
        if not partitions <= page.positions.keys():
            findings.append(Finding(right=False, text=f"{topic}: {url} does not show a position of each partition"))
            continue
        on_page = page.counted[topic] - sum(page.positions[partition] for partition in partitions)
        in_journal = counted[topic] - sum(stored[partition] for partition in partitions)
        text = f"{topic}: counters less positions are {on_page} on {url}, {in_journal} in the journal"
        findings.append(Finding(right=on_page == in_journal, text=text))
    return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    counted: Counter[str]  # messages by topic, events or not
    positions: Mapping[Partition, int]


def _page(url: str) -> _Page:
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{url} is no http:// address")
    with urlopen(Request(url, headers={"Accept": "text/plain"}), timeout=_ANSWER_S) as answer:  # noqa: S310  # checked above
        text = answer.read().decode()
    counted: Counter[str] = Counter()
    positions: dict[Partition, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in {"crm_events_ingested_total", "crm_events_rejected_total"}:
                counted[sample.labels["topic"]] += int(sample.value)
            elif sample.name == "crm_events_next_offset":
                positions[sample.labels["topic"], int(sample.labels["partition"])] = int(sample.value)
    return _Page(counted=counted, positions=positions)


def _by_topic(totals: Totals) -> Counter[str]:
    counted: Counter[str] = Counter()
    for (_, topic), count in totals.ingested.items():
        counted[topic] += count
    for (topic, _), count in totals.rejected.items():
        counted[topic] += count
    return counted
