"""What a page of /metrics says about the count."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.measuring.load import Partition, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The sink's own word about its work; all of a page is one moment."""

    ingested: Mapping[Series, int]
    rejected: int
    next_offsets: Mapping[Partition, int]
    progress_at_s: float  # Unix time when the last of these was counted

    def total(self) -> int:
        """Return how many events were counted."""
        return sum(self.ingested.values())


def parsed(text: str) -> Counts:
    """Read a page with Prometheus's own Python parser."""
    ingested: dict[Series, int] = {}
    next_offsets: dict[Partition, int] = {}
    rejected, progress_at_s = 0, 0.0
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if name == "crm_events_ingested_total":
                ingested[labels["tenant_id"], labels["topic"]] = int(value)
            elif name == "crm_events_rejected_total":
                rejected += int(value)
            elif name == "crm_events_next_offset":
                next_offsets[labels["topic"], int(labels["partition"])] = int(value)
            elif name == "crm_events_last_progress_timestamp_seconds":
                progress_at_s = value
    return Counts(ingested=ingested, rejected=rejected, next_offsets=next_offsets, progress_at_s=progress_at_s)


def differences(counted: Mapping[Series, int], ledger: Mapping[Series, int]) -> str:
    """Say where counters differ from the ledger, or nothing."""
    wrong = {key for key in counted.keys() | ledger.keys() if counted.get(key, 0) != ledger.get(key, 0)}
    if not wrong:
        return ""
    missing = sum(max(ledger.get(key, 0) - counted.get(key, 0), 0) for key in wrong)
    surplus = sum(max(counted.get(key, 0) - ledger.get(key, 0), 0) for key in wrong)
    return f"{missing} events missing, {surplus} too many, in {len(wrong)} of {len(ledger)} series"
