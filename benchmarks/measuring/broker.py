"""The broker of a measurement: librdkafka's mock cluster as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runbook.waiting import Impossible, Pending, wait_until

CHECKOUT: Final = Path(__file__).parents[2]
_START_S: Final = 30.0
_END_S: Final = 10.0


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, or nothing."""
    lines = path.read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def broker(folder: Path, topics: Mapping[str, int]) -> Iterator[str]:
    """Start a broker with these topics and numbers of partitions; yield its address, and end it afterwards."""
    address = folder / "bootstrap"
    wanted = [word for name, count in topics.items() for word in ("--topic", f"{name}:{count}")]
    command = [sys.executable, "-m", "runbook.local_stack.fakes.broker", "--bootstrap-file", str(address), *wanted]
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)

    def published() -> str | Pending | Impossible:
        if process.poll() is not None:
            return Impossible(last_line(folder / "broker.log"))
        return address.read_text().strip() if address.exists() else Pending("no address")

    try:
        where = str(folder / "broker.log")
        yield wait_until(published, what="The broker", deadline_s=_START_S, where=where, fix="read its log")
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
