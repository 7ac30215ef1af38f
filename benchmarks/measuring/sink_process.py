"""The sink as users run it: `python -m sink` with an environment, two ports and a log."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, TopicPartition

from benchmarks.measuring.broker import CHECKOUT, last_line
from benchmarks.measuring.load import TOPICS, Load
from benchmarks.measuring.model import NotAvailableError
from benchmarks.measuring.usage import PeakMemory
from runbook.waiting import Impossible, Pending, wait_until

EXIT_SETTINGS: Final = 4  # docs/SINK.md: a wrong value ends the start with this
SCRAPE: Final = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}  # Prometheus sends it with each scrape

_ITS_VARIABLES: Final = re.compile(r"KAFKA_|SINK_|POSTGRES_|GROUP_ID$|TOPICS$|PROM_PORT$|HTTP_PORT$")
_START_S: Final = 30.0
_FIRST_LOOK_EVERY_S: Final = 0.05
_SLOWEST_PER_S: Final = 5_000  # events; slower than this counts as stuck
_ANSWER_S: Final = 30.0
_STOP_S: Final = 10.0


class SinkProcess:
    """A running sink. Leaving the block stops it with SIGTERM."""

    def __init__(
        self, *, bootstrap: str, group: str, folder: Path, env: Mapping[str, str], preload: Path | None = None
    ) -> None:
        """Start it; `preload` is a library that replaces the C library's malloc."""
        self.log = folder / "sink.log"
        self._stderr = folder / "stderr.txt"
        self._port, http_port = _free_ports()
        self._group, self._bootstrap = group, bootstrap
        environment = {
            **{name: value for name, value in os.environ.items() if not _ITS_VARIABLES.match(name)},
            "KAFKA_BOOTSTRAP": bootstrap,
            "GROUP_ID": group,
            "TOPICS": ",".join(TOPICS),
            "PROM_PORT": str(self._port),
            "HTTP_PORT": str(http_port),
            **env,
            **({"LD_PRELOAD": str(preload)} if preload else {}),
        }
        with self.log.open("wb") as log, self._stderr.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sink"], cwd=CHECKOUT, env=environment, stdout=log, stderr=errors
            )
        self.memory = PeakMemory(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.memory.look()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def page(self, headers: Mapping[str, str] | None = None) -> str:
        """Return /metrics. Raises OSError or HTTPException when nobody answers."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)) as connection:
            connection.request("GET", "/metrics", headers=dict(headers or {}))
            return connection.getresponse().read().decode()

    def timed_scrape(self) -> float:
        """Scrape as Prometheus does; return the seconds from the connection to the last byte."""
        started = time.perf_counter()
        self.page(SCRAPE)
        return time.perf_counter() - started

    def first_page(self, is_first: Callable[[str], bool]) -> str:
        """Return the first page that satisfies the condition. Raises NotAvailableError if the sink refuses to start."""

        def look() -> str | Pending | Impossible:
            if self._process.poll() == EXIT_SETTINGS:
                raise NotAvailableError(self._last_words())
            if self._process.returncode is not None:
                return Impossible(self._last_words())
            try:
                page = self.page()
            except (OSError, HTTPException) as error:
                return Pending(str(error))
            return page if is_first(page) else Pending("not the page that is waited for")

        return wait_until(
            look,
            what="The sink's first page",
            deadline_s=_START_S,
            where=str(self.log),
            fix="read its log",
            every_s=_FIRST_LOOK_EVERY_S,
        )

    def wait_for_commits(self, load: Load, meanwhile: Callable[[], object]) -> None:
        """Wait until Kafka remembers every event as counted; this asks the broker and leaves the sink alone.

        `meanwhile` is called again and again. Raises WaitError when the sink is stuck or has ended.
        """
        places = [TopicPartition(*place) for place in load.ends]
        with closing(
            Consumer({"bootstrap.servers": self._bootstrap, "group.id": self._group, "log_level": 3})
        ) as asker:

            def look() -> bool | Pending | Impossible:
                meanwhile()
                if self._process.poll() is not None:
                    return Impossible(self._last_words())
                done = sum(_counted(place.offset) for place in asker.committed(places, timeout=_ANSWER_S))
                return True if done >= load.events else Pending(f"{done} of {load.events} events committed")

            wait_until(
                look,
                what="The last commit",
                deadline_s=_START_S + load.events / _SLOWEST_PER_S,
                where=str(self.log),
                fix="read its log",
            )

    def _last_words(self) -> str:
        return last_line(self._stderr) or f"exit code {self._process.returncode}, and no word about it"


def _counted(offset: int) -> int:
    """A partition without a commit has a negative offset."""
    return max(offset, 0)


def _free_ports() -> tuple[int, int]:
    sockets: Iterable[socket.socket] = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first, second = (opened.getsockname()[1] for opened in sockets)
    for opened in sockets:
        opened.close()
    return first, second
