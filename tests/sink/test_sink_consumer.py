"""The loop against a real broker: exact counts, whatever comes and whoever joins."""

from collections import Counter

import pytest
from confluent_kafka import KafkaError

from sink.dead_letters import SHORTENED_BYTES
from tests.sink.mock_kafka import MockKafka
from tests.sink.running import committed_offsets, load, running
from tests.sink.sink_process import JOBS, LEADS, Samples, event, wait_until

DLQ = "crm-events-sink.dlq"
POISON = {
    "null_value": None,
    "empty": b" ",
    "not_utf8": b'{"tenant_id": "acme", "event_type": "lead.created", "name": "\xff"}',
    "not_json": b'{"tenant_id": "acme"',
    "not_an_object": b'["tenant_id", "event_type"]',
    "missing_field": b'{"tenant_id": "acme"}',
    "wrong_type": b'{"tenant_id": 7, "event_type": "lead.created"}',
    "bad_tenant": b'{"tenant_id": "a\\nb", "event_type": "lead.created"}',
}
TOPIC_AUTHORIZATION_FAILED = 29


def test_exact_counts(kafka: MockKafka) -> None:
    """Events of many tenants over two topics and many partitions: every counter is what was sent."""
    sent: Counter[tuple[str, str]] = Counter()
    for topic, partitions, kind in ((LEADS, 6, "lead.created"), (JOBS, 3, "job.created")):
        kafka.create(topic, partitions)
        tenants = [f"tenant-{n * n % 13}" for n in range(3_000)]
        sent.update((tenant, topic) for tenant in tenants)
        kafka.send(topic, [event(tenant, kind) for tenant in tenants])
    with running(kafka.bootstrap) as sink:
        wait_until(lambda: sink.samples().counted() == 6_000)
        assert sink.samples().ingested() == sent
        assert sink.samples().passed() == 6_000
        assert len(sink.samples().offsets()) == 9


def test_poison(kafka: MockKafka) -> None:
    """Each kind of bad message among good ones is counted by reason, kept with its bytes, and stops nothing."""
    kafka.create(LEADS, 1)
    kafka.create(JOBS, 1)
    kafka.create(DLQ, 1)
    for value in POISON.values():
        kafka.send(LEADS, [event("acme"), value], partition=0)
    with running(kafka.bootstrap) as sink:
        wait_until(lambda: sink.samples().passed() == 2 * len(POISON))
        samples = sink.samples()
        wait_until(lambda: f"Rejected {LEADS} partition 0 offset 1: null_value\n" in sink.log())
    assert samples.ingested() == {("acme", LEADS): len(POISON)}
    assert samples.rejected() == dict.fromkeys([(LEADS, reason) for reason in POISON], 1.0)
    letters = kafka.read(DLQ, len(POISON))
    assert [letter.value() for letter in letters] == list(POISON.values())
    for index, (letter, reason) in enumerate(zip(letters, POISON, strict=True)):
        assert dict(letter.headers() or []) == {
            "crm-events-sink.topic": LEADS.encode(),
            "crm-events-sink.partition": b"0",
            "crm-events-sink.offset": str(2 * index + 1).encode(),
            "crm-events-sink.reason": reason.encode(),
        }


def test_poison_of_every_size_and_shape(kafka: MockKafka) -> None:
    """What is odd but an event is counted as its tenant's; what is none goes to the dead letters, however large."""
    kafka.create(LEADS, 1)
    kafka.create(DLQ, 1)
    tail = b', "event_type": "lead.created"}'
    events = {
        "duplicate keys": b'{"tenant_id": "first", "tenant_id": "acme"' + tail,  # the last one counts, as in JavaScript
        "unknown event_type": b'{"tenant_id": "acme", "event_type": "moon.landed"}',
        "future event_version": b'{"event_version": 99, "payload": {"a": []}, "tenant_id": "acme"' + tail,
        "newlines between": b'{\n"tenant_id": "acme"\n' + tail,
        "nested, as far as JSON readers go": b'{"more": ' + b"[" * 500 + b"]" * 500 + b', "tenant_id": "acme"' + tail,
    }
    poison = {
        "1 MB": b"x" * 990_000,  # more than that is refused to the writer already
        "1 MB of an event": b'{"tenant_id": "acme", "name": "' + b"x" * 989_000,
        "tenant of 10,000 letters": b'{"tenant_id": "' + b"a" * 10_000 + b'"' + tail,
        "newline in the tenant": b'{"tenant_id": "ac\\nme"' + tail,
        "newline raw in a text": b'{"tenant_id": "acme", "name": "a\nb"' + tail,
        "nested without end": b'{"more": ' + b"[" * 100_000,
        "NaN as tenant": b'{"tenant_id": NaN' + tail,
        "NaN elsewhere": b'{"amount": NaN, "tenant_id": "acme"' + tail,
        "two in one": event("acme") * 2,
    }
    kafka.send(LEADS, [*events.values(), *poison.values()], partition=0)
    with running(kafka.bootstrap, TOPICS=LEADS) as sink:
        wait_until(lambda: sink.samples().passed() == len(events) + len(poison))
        assert sink.samples().ingested() == {("acme", LEADS): len(events)}
        assert sum(sink.samples().rejected().values()) == len(poison)
    assert [letter.value() for letter in kafka.read(DLQ, len(poison))] == list(poison.values())


def test_dead_letter_too_large(kafka: MockKafka) -> None:
    """A message that finds no room on the dead-letter topic goes there shortened: nothing stops for it."""
    kafka.create(LEADS, 1)
    kafka.create(DLQ, 1)
    value = b"x" * 50_000
    kafka.send(LEADS, [event("acme"), value, event("acme")], partition=0)
    kafka.refuse_produce(KafkaError.MSG_SIZE_TOO_LARGE, 1)
    with running(kafka.bootstrap, TOPICS=LEADS) as sink:
        wait_until(lambda: sink.samples().passed() == 3)
        assert sink.samples().counted() == 3
    (letter,) = kafka.read(DLQ, 1)
    assert letter.value() == value[:SHORTENED_BYTES]
    headers = dict(letter.headers() or [])
    assert headers["crm-events-sink.original-bytes"] == b"50000"
    assert (headers["crm-events-sink.offset"], headers["crm-events-sink.reason"]) == (b"1", b"not_json")


def test_dead_letters_off(kafka: MockKafka) -> None:
    """Without a dead-letter topic a bad message is counted, and nothing is sent."""
    kafka.create(LEADS, 1)
    kafka.send(LEADS, [b"{}", event("acme")], partition=0)
    with running(kafka.bootstrap, TOPICS=LEADS, SINK_DLQ_TOPIC="") as sink:
        wait_until(lambda: sink.samples().passed() == 2)
        assert sink.samples().rejected() == {(LEADS, "missing_field"): 1.0}
        assert sink.samples().by_name["crm_events_dead_letters_total"][()] == 0


def test_dead_letter_refused(kafka: MockKafka) -> None:
    """While the dead-letter topic refuses, nothing moves and the sink is not ready; later all is counted once."""
    kafka.create(LEADS, 2)
    kafka.create(DLQ, 1)
    kafka.send(LEADS, [b"{}", event("acme")], partition=0)  # the good one may come in a batch of its own
    kafka.refuse_produce(TOPIC_AUTHORIZATION_FAILED, 1_000)
    with running(kafka.bootstrap, TOPICS=LEADS) as sink:
        wait_until(lambda: "Topic authorization failed" in sink.health.not_ready())
        assert sink.samples().passed() == sink.samples().counted() == 0
        assert not sink.health.stalled()
    with running(kafka.bootstrap, TOPICS=LEADS) as sink:
        wait_until(lambda: sink.health.blocked_by)
        kafka.accept_produce()
        kafka.send(LEADS, [event("acme")] * 3, partition=1)
        wait_until(lambda: sink.samples().passed() == 5)
        assert sink.samples().counted() == 5
        assert not sink.health.not_ready()
    assert kafka.read(DLQ, 1)[0].value() == b"{}"


def test_rebalance_while_refused(kafka: MockKafka) -> None:
    """Partitions that move away while a dead letter waits are counted once, by whoever has them then."""
    kafka.create(LEADS, 2)
    kafka.create(DLQ, 1)
    for partition in range(2):
        kafka.send(LEADS, [b"{}", event("acme")], partition=partition)
    kafka.refuse_produce(TOPIC_AUTHORIZATION_FAILED, 1_000)
    with running(kafka.bootstrap, TOPICS=LEADS) as first:
        wait_until(lambda: first.health.blocked_by)
        with running(kafka.bootstrap, TOPICS=LEADS) as second:
            wait_until(lambda: first.health.assigned == second.health.assigned == 1)
            wait_until(lambda: first.health.blocked_by and second.health.blocked_by)
            kafka.accept_produce()
            wait_until(lambda: first.samples().passed() + second.samples().passed() == 4)
            assert first.samples().counted() == second.samples().counted() == 2


def test_pages_under_load(kafka: MockKafka) -> None:
    """Between any two pages the counters have grown by exactly the messages between their offsets."""
    kafka.create(LEADS, 4)
    kafka.send(LEADS, [b"{}" if n % 50 == 0 else event(f"tenant-{n % 7}") for n in range(100_000)])
    pages: list[Samples] = []

    def is_seen_at_work() -> bool:
        pages.append(sink.samples())
        return len({page.counted() for page in pages}) > 9 and pages[-1].counted() > 100_000

    with running(kafka.bootstrap, TOPICS=LEADS, SINK_DLQ_TOPIC="") as sink, load(kafka, LEADS):
        wait_until(is_seen_at_work)
    assert [page.counted() - page.passed() for page in pages] == [0.0] * len(pages)


def test_stop_under_load_commits_what_was_counted(kafka: MockKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is stopped while events flow: what it has counted is what the broker has as its commit."""
    monkeypatch.setattr("sink.membership._LAST_COMMIT_S", 60.0)  # also on a busy machine
    kafka.create(LEADS, 4)
    with load(kafka, LEADS):
        with running(kafka.bootstrap, TOPICS=LEADS) as sink:
            wait_until(lambda: sink.samples().counted() > 0)
        assert sink.samples().counted() == committed_offsets(kafka, LEADS, 4)


def test_rebalance_under_load(kafka: MockKafka) -> None:
    """Members come and go while events flow: no event is lost.

    More is not claimed here: unlike a real one, the mock broker refuses the commit of a member whose partitions are
    taken back, so the next member counts the events since its last commit again.
    """
    kafka.create(LEADS, 6)
    with running(kafka.bootstrap, TOPICS=LEADS) as first:
        wait_until(lambda: first.health.assigned == 6)
        gone = 0.0
        with load(kafka, LEADS) as sent:
            for _ in range(2):
                with running(kafka.bootstrap, TOPICS=LEADS) as second:
                    wait_until(lambda: first.health.assigned == second.health.assigned == 3)
                    wait_until(lambda: second.samples().counted() > 0)
                gone += second.samples().counted()
                wait_until(lambda: first.health.assigned == 6)
        wait_until(lambda: first.samples().passed() == sum(sent))
        assert first.samples().counted() + gone >= sum(sent)


@pytest.mark.parametrize("group", ["eager", "cooperative", "static"])  # KIP-848: the mock broker sees no new topic
def test_rebalance_of_one(kafka: MockKafka, group: str) -> None:
    """A rebalance that gives a process its own partitions back counts nothing twice, even if a commit is refused."""
    kafka.create(LEADS, 4)
    with running(kafka.bootstrap, group=group) as sink:
        wait_until(lambda: sink.health.assigned == 4)
        kafka.send(LEADS, [event("acme")] * 300)
        kafka.create(JOBS, 4)
        kafka.send(LEADS, [event("acme")] * 300)
        wait_until(lambda: sink.health.assigned == 8)
        kafka.send(JOBS, [event("acme")] * 100)
        wait_until(lambda: sink.samples().passed() == 700)
        assert sink.samples().counted() == 700


def test_expired_offsets(kafka: MockKafka) -> None:
    """Messages that Kafka deleted before they were counted are named in the log, and counting starts after them."""
    kafka.create(LEADS, 1)
    kafka.send(LEADS, [event("acme")], partition=0)
    with running(kafka.bootstrap, TOPICS=LEADS) as sink:
        wait_until(lambda: sink.samples().passed() == 1)
    kafka.send(LEADS, [event("acme", "x" * 900_000)] * 8, partition=0)  # the mock broker keeps 5 MiB
    with running(kafka.bootstrap, TOPICS=LEADS, SINK_LOG_EVENTS="none") as sink:
        wait_until(lambda: sink.samples().passed() == 9)
        assert 0 < sink.samples().counted() < 8
        assert "Kafka deleted offsets 1 to " in sink.log()
