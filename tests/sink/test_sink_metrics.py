"""The page /metrics: a snapshot, with new series at 0 first."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from sink.decoding import RejectReason
from sink.exposition import Format
from sink.journal.model import Partition, Totals
from sink.metrics import Metrics, Series
from sink.unlabelled_metrics import BuildInfo
from tests.sink.sink_process import LEADS, Samples


def new_metrics(kind: type[Metrics] = Metrics, max_tenants: int = 10) -> Metrics:
    """Return the metrics of a sink that has just started."""
    return kind(topics=[LEADS], max_tenants=max_tenants, dropped_lines=lambda: 3)


def samples(metrics: Metrics, *, scrape: bool = False) -> Samples:
    """Read a page as a reader or as Prometheus, to the end."""
    page = metrics.page(is_scrape=scrape)
    metrics.mark_served(page)
    return Samples(page.body.decode())


def count(metrics: Metrics, tenant: str, events: int) -> None:
    """Count events of a tenant."""
    metrics.count_batch(ingested={(tenant, LEADS): events}, rejected={}, next_offsets={})


class PagingLock:
    """A lock that reads a page whenever it is released: it sees each state that another thread could see."""

    def __init__(self, metrics: Metrics) -> None:
        self.pages: list[Samples] = []
        self._metrics = metrics
        self._lock = threading.Lock()
        self._is_reading = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if not self._is_reading:
            self._is_reading = True
            self.pages.append(samples(self._metrics))
            self._is_reading = False


class TornMetrics(Metrics):
    """Wrong on purpose: counters first, offsets in a second step."""

    def count_batch(
        self,
        *,
        ingested: Mapping[tuple[str, str], int],
        rejected: Mapping[tuple[str, RejectReason], int],
        next_offsets: Mapping[Partition, int],
        latency_s: float = 0.0,
    ) -> None:
        super().count_batch(ingested=ingested, rejected=rejected, next_offsets={}, latency_s=latency_s)
        super().count_batch(ingested={}, rejected={}, next_offsets=next_offsets)


def count_five(metrics: Metrics, offset: int) -> None:
    """Count a batch of five messages that ends before this offset."""
    metrics.count_batch(
        ingested=Counter({("acme", LEADS): 3, ("b", LEADS): 1}),
        rejected={(LEADS, RejectReason.EMPTY): 1},
        next_offsets={(LEADS, 0): offset},
    )


@pytest.mark.parametrize(("kind", "exact"), [(Metrics, True), (TornMetrics, False)])
def test_every_page_adds_up(kind: type[Metrics], *, exact: bool) -> None:
    """Whenever a page can be read, its counters equal its offsets; a sink that changes them one by one is caught."""
    metrics = new_metrics(kind)
    metrics.set_assignment(1, {(LEADS, 0): 0})
    lock = PagingLock(metrics)
    metrics._lock = lock  # type: ignore[assignment]  # noqa: SLF001  # to read pages at every moment at which another thread can
    for offset in range(5, 55, 5):
        count_five(metrics, offset)
    assert len(lock.pages) >= 10
    assert all(page.counted() == page.passed() for page in lock.pages) == exact


def test_pages_of_a_busy_sink_add_up() -> None:
    """The same with a thread that counts all the time: a page is a snapshot, also while its text is written."""
    metrics, stop = new_metrics(), threading.Event()
    metrics.set_assignment(1, {(LEADS, 0): 0})

    def write() -> None:
        offset = 0
        while not stop.is_set():
            offset += 5
            count_five(metrics, offset)

    writer = threading.Thread(target=write)
    writer.start()
    pages = [samples(metrics) for _ in range(100)]
    stop.set()
    writer.join()
    assert {page.counted() - page.passed() for page in pages} == {0.0}


def test_zero_first() -> None:
    """A new series is 0 in the first scrape that is served, whatever was read between; then it shows its value."""
    metrics = new_metrics()
    count(metrics, "acme", 5)
    assert samples(metrics).ingested() == {("acme", LEADS): 5.0}
    metrics.page(is_scrape=True)  # the connection broke: the client has not got the zero
    assert samples(metrics, scrape=True).ingested() == {("acme", LEADS): 0.0}
    count(metrics, "acme", 1)
    count(metrics, "late", 2)
    assert samples(metrics, scrape=True).ingested() == {("acme", LEADS): 6.0, ("late", LEADS): 0.0}
    assert samples(metrics, scrape=True).ingested() == {("acme", LEADS): 6.0, ("late", LEADS): 2.0}


class ShowingMetrics(Metrics):
    """Wrong on purpose: shows the positions also beside a counter that it hides."""

    def _matching_offsets(self, at_zero: Iterable[Series]) -> dict[Partition, int]:  # noqa: ARG002  # that is the mistake
        return dict(self._next_offsets)


@pytest.mark.parametrize(("kind", "exact"), [(Metrics, True), (ShowingMetrics, False)])
def test_positions_match_the_counters_of_their_page(kind: type[Metrics], *, exact: bool) -> None:
    """A scrape that hides a value shows no position, so every page with positions adds up; else it is caught."""
    metrics = new_metrics(kind)
    metrics.set_assignment(1, {(LEADS, 0): 0})
    pages = [samples(metrics, scrape=True)]  # nothing has a value yet, so nothing is hidden
    for offset, tenant in enumerate(["acme", "acme", "late", "late", "late"], start=1):
        metrics.count_batch(ingested={(tenant, LEADS): 1}, rejected={}, next_offsets={(LEADS, 0): offset})
        pages.append(samples(metrics, scrape=True))
    shown = [page for page in pages if page.offsets()]
    assert all(page.counted() == page.passed() for page in shown) == exact
    assert ([bool(page.offsets()) for page in pages] == [True, False, True, False, True, True]) == exact


def test_rejections_are_known_from_the_start() -> None:
    """Every reason has a series at 0 before anything was rejected."""
    page = samples(new_metrics(), scrape=True)
    assert page.by_name["crm_events_rejected_total"] == {(LEADS, str(reason)): 0.0 for reason in RejectReason}


def test_more_tenants_than_the_cap() -> None:
    """Tenants above the cap share one series: the sum stays exact, and two gauges say how many there are."""
    metrics = new_metrics(max_tenants=2)
    for number in range(7):
        count(metrics, f"tenant-{number}", 1)
    count(metrics, "tenant-1", 1)
    page = samples(metrics)
    assert page.ingested() == {("tenant-0", LEADS): 1.0, ("tenant-1", LEADS): 2.0, ("__overflow__", LEADS): 5.0}
    assert page.by_name["crm_events_tenants"][()] == 2
    assert page.by_name["crm_events_tenants_overflowed"][()] == 2  # where it stops


def test_label_values_are_escaped() -> None:
    """A tenant may be called anything: the page stays readable for Prometheus, and the name is unchanged."""
    metrics = new_metrics()
    count(metrics, 'a"b\\n{c="d"} Łódź', 1)
    assert samples(metrics).ingested() == {('a"b\\n{c="d"} Łódź', LEADS): 1.0}


def test_text_as_the_runbook_shows_it() -> None:
    """The line that the runbook tells operators to look for is there, letter by letter."""
    metrics = new_metrics()
    count(metrics, "acme", 5)
    metrics.add("dead_letters_total", 2)
    lines = metrics.page(is_scrape=False).body.decode().splitlines()
    assert 'crm_events_ingested_total{tenant_id="acme",topic="apexflow.leads.created"} 5.0' in lines
    assert "crm_events_log_lines_dropped_total 3.0" in lines
    assert "crm_events_dead_letters_total 2.0" in lines


def test_restored_totals() -> None:
    """Totals from a journal are shown at once, also to a scrape: Prometheus has seen them before the restart."""
    metrics = new_metrics(max_tenants=1)
    metrics.restore(Totals(ingested={("acme", LEADS): 5, ("b", LEADS): 2}, rejected={("gone.topic", "empty"): 3}))
    count(metrics, "acme", 1)
    page = samples(metrics, scrape=True)
    assert page.ingested() == {("acme", LEADS): 6.0, ("__overflow__", LEADS): 2.0}
    assert page.rejected() == {("gone.topic", "empty"): 3.0}


def test_lag() -> None:
    """The lag is what Kafka has beyond our positions, of the partitions that are ours, and never below 0."""
    metrics = new_metrics()
    metrics.set_assignment(2, {(LEADS, 0): 4, (LEADS, 1): 9, (LEADS, 2): 1})
    metrics.set_end_offsets({(LEADS, 0): 10, (LEADS, 1): 8, (LEADS, 7): 5})
    assert samples(metrics).by_name["crm_events_lag"] == {(LEADS, "0"): 6.0, (LEADS, "1"): 0.0}


def test_histograms() -> None:
    """Latency counts messages, not batches; sizes count batches; a bound belongs to its bucket."""
    metrics = new_metrics()
    for seconds, events in ((0.001, 3), (0.02, 500), (9.0, 1)):
        metrics.count_batch(ingested={("acme", LEADS): events}, rejected={}, next_offsets={}, latency_s=seconds)
    page = samples(metrics)
    latency = page.by_name["crm_events_count_latency_seconds_bucket"]
    assert [latency[(bound,)] for bound in ("0.001", "0.015", "0.025", "5.0", "+Inf")] == [3, 3, 503, 503, 504]
    assert page.by_name["crm_events_count_latency_seconds_sum"][()] == pytest.approx(0.003 + 10 + 9)
    assert page.by_name["crm_events_batch_messages_count"][()] == 3


def test_openmetrics() -> None:
    """Whoever asks for OpenMetrics gets it, with the same samples as in the older format."""
    metrics = new_metrics()
    metrics.set_assignment(1, {(LEADS, 0): 5})
    count(metrics, 'odd "tenant"', 5)
    accepted = Format.accepted("application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    page = metrics.page(is_scrape=False, page_format=accepted)
    families = {family.name: family for family in openmetrics(page.body.decode())}  # type: ignore[no-untyped-call]  # of the client
    assert families["crm_events_ingested"].samples[0].value == 5
    assert families["crm_events_ingested"].samples[0].labels == {"tenant_id": 'odd "tenant"', "topic": LEADS}
    assert families["crm_events_count_latency_seconds"].type == "histogram"
    assert Format.accepted("text/plain") is Format.accepted("") is Format.PROMETHEUS


def test_persisted() -> None:
    """With a journal that keeps messages, the counter of the sink before this one is there too."""
    build = BuildInfo(version="1", journal="sqlite", stores_messages=True)
    metrics = Metrics(topics=[LEADS], max_tenants=10, dropped_lines=lambda: 0, build=build)
    count(metrics, "acme", 5)
    assert samples(metrics).by_name["crm_events_persisted_total"] == {("acme", LEADS): 5.0}
    assert samples(metrics).by_name["crm_events_sink_build_info"] == {("1", "", "sqlite"): 1.0}
    assert "crm_events_persisted_total" not in samples(new_metrics()).by_name


def test_partitions_that_are_gone() -> None:
    """Only assigned partitions have an offset."""
    metrics = new_metrics()
    metrics.set_assignment(2, {(LEADS, 0): 4})
    assert samples(metrics).offsets() == {(LEADS, "0"): 4.0}
    assert samples(metrics).by_name["crm_events_assigned_partitions"][()] == 2
    metrics.set_assignment(0, {})
    assert samples(metrics).offsets() == {}
