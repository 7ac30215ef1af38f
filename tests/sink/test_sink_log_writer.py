"""The log: exact lines, and never a reason to block."""

import os
import re
import threading

import pytest

from sink.log_writer import LogWriter, ReceivedEvents, Throttle


def test_event_lines() -> None:
    """One line per event in the runbook's form; what an event brings along cannot begin a line of its own."""
    reader, writer = os.pipe()
    log = LogWriter(writer)
    mixed = ReceivedEvents(types=["lead.created", "a\nb"], tenants=["acme", "Łódź\u2028"])
    none, alike = (
        ReceivedEvents(types=[], tenants=[]),
        ReceivedEvents(types=["job.created"] * 3, tenants=["acme", "beta", "acme"]),
    )
    log.write_events([mixed, none, alike])
    log.close(5)
    *lines, rest = os.read(reader, 10_000).decode().split("\n")
    assert [re.sub(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\]", "", line) for line in lines] == [
        " Received lead.created for tenant acme",
        " Received a\\nb for tenant Łódź\\u2028",
        " Received job.created for tenant acme",
        " Received job.created for tenant beta",
        " Received job.created for tenant acme",
    ]
    assert rest == ""
    os.close(reader)
    os.close(writer)


@pytest.mark.posix("pipes that do not block")
@pytest.mark.parametrize("blocking", [True, False])
def test_slow_reader(*, blocking: bool) -> None:
    """While the reader sleeps, lines wait up to the limit, then they are dropped and counted; nothing is torn."""
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    log = LogWriter(writer, limit_bytes=200_000)
    for number in range(20_000):
        log.write_without_time(f"line {number:>20}")
    log.close(0.01)
    dropped = log.dropped
    assert dropped > 0
    received = bytearray()

    def read() -> None:
        while chunk := os.read(reader, 65_536):
            received.extend(chunk)

    reading = threading.Thread(target=read)
    reading.start()
    log.close(10)
    os.close(writer)
    reading.join()
    os.close(reader)
    lines = received.decode().splitlines()
    assert len(lines) == 20_000 - dropped
    assert all(re.fullmatch(r"line +\d+", line) for line in lines)


def test_reader_gone() -> None:
    """When nobody can read any more, lines are counted as dropped and nothing is raised."""
    reader, writer = os.pipe()
    os.close(reader)
    log = LogWriter(writer)
    log.write("nobody hears this")
    log.close(5)
    log.write("nor this")
    log.close(5)
    assert log.dropped == 2
    os.close(writer)


def test_throttle() -> None:
    """Within the period one message passes; the first one after it says how many were omitted."""
    now = [100.0]
    throttle = Throttle(10.0, clock=lambda: now[0])
    assert throttle.passed("first") == "first"
    assert throttle.passed("second") is None
    now[0] += 10
    assert throttle.passed("third") == "third (messages of this kind omitted before: 1)"
    now[0] += 10
    assert throttle.passed("fourth") == "fourth"
