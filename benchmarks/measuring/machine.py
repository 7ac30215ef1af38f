"""Where and when was measured: figures mean little without it."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import confluent_kafka
import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine and the versions of what decides the pace."""

    at: str  # UTC
    cores: int
    memory_gib: float
    load_1m: float  # before the benchmark: what others did
    python: str
    confluent_kafka: str
    librdkafka: str
    msgspec: str

    def __str__(self) -> str:
        return (
            f"{self.at}: {self.cores} cores, {self.memory_gib:.0f} GiB, load {self.load_1m:.1f} before; "
            f"Python {self.python}, confluent-kafka {self.confluent_kafka}, librdkafka {self.librdkafka}, "
            f"msgspec {self.msgspec}"
        )


def this_machine() -> Machine:
    """Look at this machine now."""
    return Machine(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cores=os.cpu_count() or 0,
        memory_gib=psutil.virtual_memory().total / 2**30,
        load_1m=os.getloadavg()[0],
        python=platform.python_version(),
        confluent_kafka=version("confluent-kafka"),
        librdkafka=confluent_kafka.libversion()[0],
        msgspec=version("msgspec"),
    )
