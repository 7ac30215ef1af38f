"""What was written to Kafka: the tenant of each acknowledged offset, and the load that writes it."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from confluent_kafka import KafkaError, Message, Producer

from sink.journal.reader import JournalReader
from tests.sink.sink_process import event

BAD: Final = b'{"tenant_id": "acme"'

_BURSTS_PER_S: Final = 50
_TENANTS: Final = tuple(f"tenant-{n}" for n in range(200))


class Ledger:
    """The tenant of each acknowledged message by partition and offset; None for a message that is no event."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.tenants: dict[int, list[str | None]] = {}

    def acknowledged(self, error: KafkaError | None, message: Message, tenant: str | None) -> None:
        """Enter a message that the broker has taken."""
        assert error is None, error
        entered = self.tenants.setdefault(message.partition() or 0, [])
        assert message.offset() == len(entered), f"offset {message.offset()} after {len(entered)} messages"
        entered.append(tenant)

    def ends(self) -> dict[int, int]:
        """Return the end offsets of the partitions that were written to."""
        return {partition: len(entered) for partition, entered in self.tenants.items()}


class Audit:
    """Compares a journal with the ledger, at any moment: what lies before its positions is counted, nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._passed: dict[int, int] = {}  # the positions at the last comparison
        self._expected: Counter[str | None] = Counter()  # what lies before them
        self.missing = 0
        self.duplicate = 0

    def counts(self, reader: JournalReader, settle: Callable[[], None]) -> None:
        """Compare the counts by tenant with what lies before the stored positions.

        The journal is read first, and only then the ledger settles: while other sinks go on, the journal may already
        have counted events whose acknowledgement is not yet in the ledger.
        """
        positions = {partition.number: partition.position.next_offset for partition in reader.partitions()}
        totals = reader.totals()
        settle()
        counted: Counter[str | None] = Counter({tenant: n for (tenant, _), n in totals.ingested.items()})
        counted[None] = sum(totals.rejected.values())
        self._go_to(positions)
        self.missing = max(self.missing, (self._expected - counted).total())
        self.duplicate = max(self.duplicate, (counted - self._expected).total())

    def rows(self, reader: JournalReader) -> None:
        """Compare the offsets of the kept messages, and their tenants, with the ledger."""
        kept = {partition: bytearray(len(entered)) for partition, entered in self._ledger.tenants.items()}
        duplicate = 0
        for message in reader.messages():
            seen, offset = kept[message.partition], message.offset
            is_new = not seen[offset] and message.tenant_id == self._ledger.tenants[message.partition][offset]
            seen[offset] |= is_new
            duplicate += not is_new
        self.missing = max(self.missing, sum(seen.count(0) for seen in kept.values()))
        self.duplicate = max(self.duplicate, duplicate)

    def _go_to(self, positions: Mapping[int, int]) -> None:
        for partition, next_offset in positions.items():
            before = self._passed.get(partition, 0)
            tenants = self._ledger.tenants.get(partition, [])
            self._expected.update(tenants[before:next_offset])
            self._expected.subtract(tenants[next_offset:before])
            self._passed[partition] = next_offset


class Writable(Protocol):
    """A broker with a producer to it."""

    producer: Producer


class Load:
    """A thread that writes events, a few of them broken, until `stop`.

    Each burst goes to one partition, as one batch: the mock broker looks for an offset in all the batches that it has
    (rdkafka_mock.c, "FIXME: Maintain an index"), and with 10,000 of them in a partition its answers are too late.
    """

    def __init__(self, kafka: Writable, ledger: Ledger, *, partitions: int, per_s: int, seed: int) -> None:
        self._kafka = kafka
        self._ledger = ledger
        self._partitions = partitions
        self._burst = max(1, per_s // _BURSTS_PER_S)
        self._random = random.Random(seed)  # noqa: S311  # a load, no secret
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def settle(self) -> None:
        """Wait until everything that was written is acknowledged, hence in the ledger."""
        with self._writing:
            assert self._kafka.producer.flush(20) == 0

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()
        self._thread.join()
        self.settle()

    def _write(self) -> None:
        while not self._stop.wait(1 / _BURSTS_PER_S):
            with self._writing:
                partition = self._random.randrange(self._partitions)
                for _ in range(self._random.randint(1, 2 * self._burst)):
                    self._write_one(partition)
                self._kafka.producer.poll(0)

    def _write_one(self, partition: int) -> None:
        tenant = None if self._random.random() < 0.01 else self._random.choice(_TENANTS)
        self._kafka.producer.produce(
            self._ledger.topic,
            BAD if tenant is None else event(tenant),
            partition=partition,
            on_delivery=lambda error, message: self._ledger.acknowledged(error, message, tenant),
        )
