"""What was really written to Kafka: the tenant of each acknowledged offset, and the load that writes it."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from confluent_kafka import KafkaError, Message, Producer
from sink_process import event

from sink.journal.reading import Reader

BAD: Final = b'{"tenant_id": "acme"'

_BURSTS_PER_S: Final = 100


class Ledger:
    """The tenant of each acknowledged message by partition and offset; None for a message that is no event."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.tenants: dict[int, list[str | None]] = {}

    def acknowledged(self, error: KafkaError | None, message: Message, tenant: str | None) -> None:
        """Enter a message that the broker has taken."""
        assert error is None, error
        entered = self.tenants.setdefault(message.partition() or 0, [])
        assert message.offset() == len(entered), "the broker's offsets have no gaps here"
        entered.append(tenant)

    def ends(self) -> dict[int, int]:
        """Return the end offsets of the partitions that were written to."""
        return {partition: len(entered) for partition, entered in self.tenants.items()}

    def before(self, positions: dict[int, int]) -> Counter[str | None]:
        """Count what lies before these offsets."""
        return Counter(t for partition, next_offset in positions.items() for t in self.tenants[partition][:next_offset])


class Audit:
    """Compares a journal with the ledger, at any moment: what lies before its positions is counted, nothing else."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.missing = 0
        self.duplicate = 0

    def counts(self, reader: Reader, settle: Callable[[], None] = lambda: None) -> None:
        """Compare the counts by tenant with what lies before the stored positions.

        `settle` waits for acknowledgements that are on their way: a sink may have counted a message before them.
        """
        positions = {place.partition[1]: place.position.next_offset for place in reader.places()}
        totals = reader.totals()
        settle()
        counted: Counter[str | None] = Counter({tenant: n for (tenant, _), n in totals.ingested.items()})
        counted[None] = sum(totals.rejected.values())
        expected = self._ledger.before({p: n for p, n in positions.items() if n})
        self.missing = max(self.missing, (expected - counted).total())
        self.duplicate = max(self.duplicate, (counted - expected).total())

    def rows(self, reader: Reader) -> None:
        """Compare the offsets of the kept messages, and their tenants, with the ledger."""
        kept = Counter((m.partition, m.offset, m.tenant_id) for m in reader.messages())
        expected = Counter((p, o, t) for p, entered in self._ledger.tenants.items() for o, t in enumerate(entered))
        self.missing = max(self.missing, (expected - kept).total())
        self.duplicate = max(self.duplicate, (kept - expected).total())


class Writable(Protocol):
    """A broker with a producer to it."""

    producer: Producer


class Load:
    """A thread that writes events, a few of them broken, until it is told to stop."""

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
                for _ in range(self._random.randint(1, 2 * self._burst)):
                    self._write_one()
                self._kafka.producer.poll(0)

    def _write_one(self) -> None:
        tenant = None if self._random.random() < 0.01 else f"tenant-{self._random.randrange(200)}"
        self._kafka.producer.produce(
            self._ledger.topic,
            BAD if tenant is None else event(tenant),
            partition=self._random.randrange(self._partitions),
            on_delivery=lambda error, message: self._ledger.acknowledged(error, message, tenant),
        )
