"""The sink by CPython for Windows, on a Kafka of Linux's side of loopback: it counts, and after a kill it counts on."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import LEADS, SinkProcess, event, wait_until
from tests.windows.interpreter import ROOT, WindowsPython, windows_path

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]


class WindowsSink(SinkProcess):
    """A sink whose streams are pipes, as CPython needs them under wine; what they carry goes to the files."""

    def __init__(self, windows: WindowsPython, bootstrap: str, folder: Path) -> None:
        super().__init__(bootstrap, folder / "log")
        journal = f"sqlite:{windows_path(folder / 'journal.sqlite')}"
        self.settings = {name: value for name, value in self.env.items() if name.startswith("KAFKA_")}
        self.settings |= {"SINK_JOURNAL": journal, "PYTHONDONTWRITEBYTECODE": "1"}
        self.windows = windows

    def start(self, *, blocked_stdout: bool = False) -> None:
        assert not blocked_stdout
        ports = {"PROM_PORT": str(self.prom_port), "HTTP_PORT": str(self.http_port)}
        self.process = subprocess.Popen(
            ("wine", str(self.windows.python), "-m", "sink"),
            cwd=ROOT,
            env=self.windows.surroundings(self.settings | ports),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for stream, file in ((self.process.stdout, self.stdout), (self.process.stderr, self._stderr)):
            assert stream
            threading.Thread(target=copied, args=(stream, file), daemon=True).start()


def copied(stream: IO[bytes], file: Path) -> None:
    with file.open("ab", buffering=0) as copy:
        for line in stream:
            copy.write(line)


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    broker = MockKafka()
    broker.create(LEADS, 2)
    yield broker
    broker.close()


def test_each_event_is_counted_once_also_after_a_kill(windows: WindowsPython, kafka: MockKafka, tmp_path: Path) -> None:
    sink = WindowsSink(windows, kafka.bootstrap, tmp_path)
    try:
        kafka.send(LEADS, [event("acme")] * 5)
        sink.start_ready()
        wait_until(lambda: sink.samples().ingested() == {("acme", LEADS): 5})
        sink.kill()
        sink.take_ports()
        kafka.send(LEADS, [event("acme")] * 2)
        sink.start_ready()
        wait_until(lambda: sink.samples().ingested() == {("acme", LEADS): 7})
        wait_until(lambda: sink.stdout.read_bytes().count(b"Received lead.created for tenant acme") >= 2)
    finally:
        sink.kill()

    assert "Traceback" not in sink.stderr()
