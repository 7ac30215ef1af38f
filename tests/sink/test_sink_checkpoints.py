"""Checkpoints beside the loop: they are made, the log stays short, and a kill during one loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sink.journal.checkpoints import CHECKPOINT_EVERY_BYTES, MAX_WAL_BYTES
from sink.journal.model import Journal, JournalEntry, Position
from tests.sink.journals import message_run, sqlite_address
from tests.sink.sink_process import LEADS, wait_until

PLACE = (LEADS, 0)
MESSAGES, VALUE = 100, b"x" * 10_000
SIZE = MESSAGES * len(VALUE)
KILLS = 15

# Writes until it is killed. It prints how many entries are committed, and each time a checkpoint is about to begin; a
# checkpoint is due after each entry.
WRITER = """
import sys
from pathlib import Path
from sink.journal import checkpoints
sys.path.insert(0, sys.argv[2])
from test_sink_checkpoints import CHECKPOINT, entry, opened

def say(text):
    sys.stdout.write(f"{text}\\n")
    sys.stdout.flush()

def connected(path, mode):
    db = connect(path, mode=mode)
    say(CHECKPOINT)
    return db

connect, checkpoints.connected = checkpoints.connected, connected
checkpoints.CHECKPOINT_EVERY_BYTES = 1
journal, number = opened(Path(sys.argv[1])), int(sys.argv[3])
while True:
    journal.write(entry(number))
    number += 1
    say(number)
"""
CHECKPOINT = "checkpoint"


def opened(folder: Path) -> Journal:
    """Return an open journal that keeps messages, and knows the partition."""
    journal = sqlite_address(folder).opened(SINK_JOURNAL_EVENTS="rows", SINK_JOURNAL_MAX_ROWS="1000000")
    if not journal.positions([PLACE]):
        journal.set_positions({PLACE: (None, Position(next_offset=0, cluster="c"))})
    return journal


def entry(number: int, value: bytes = VALUE) -> JournalEntry:
    """Return the entry of that number: all of them together are offsets without a gap."""
    low = number * MESSAGES
    kept = message_run(LEADS, *((low + n, "acme", "lead.created", None, b"k", value) for n in range(MESSAGES)))
    return JournalEntry(
        moves={PLACE: (low, low + MESSAGES)}, ingested={("acme", LEADS): MESSAGES}, rejected={}, message_runs=[kept]
    )


def log_bytes(folder: Path) -> int:
    return (folder / "journal.sqlite-wal").stat().st_size


def test_checkpoint_is_made_beside_the_commits(tmp_path: Path) -> None:
    """The pages come into the database at a size of the log at which no commit brings them there."""
    with closing(opened(tmp_path)) as journal:
        for number in range(CHECKPOINT_EVERY_BYTES // SIZE + 1):
            journal.write(entry(number))
        assert log_bytes(tmp_path) < MAX_WAL_BYTES
        wait_until(lambda: (tmp_path / "journal.sqlite").stat().st_size > CHECKPOINT_EVERY_BYTES // 2, 30)


def test_small_entries_are_copied_too(tmp_path: Path) -> None:
    """They write many more bytes to the log than their messages have, for each writes whole pages."""
    with closing(opened(tmp_path)) as journal:
        before = (tmp_path / "journal.sqlite").stat().st_size
        for number in range(CHECKPOINT_EVERY_BYTES // 100_000):
            journal.write(entry(number, b"x"))
        assert log_bytes(tmp_path) < 4 * CHECKPOINT_EVERY_BYTES
        wait_until(lambda: (tmp_path / "journal.sqlite").stat().st_size > before, 30)


def test_log_stays_short_under_load(tmp_path: Path) -> None:
    """SQLite starts the log over, also when it is written all the time."""
    with closing(opened(tmp_path)) as journal:
        for number in range(3 * MAX_WAL_BYTES // (2 * SIZE)):
            journal.write(entry(number))
            assert log_bytes(tmp_path) < MAX_WAL_BYTES + 2 * SIZE


@pytest.mark.timeout(120)
def test_killed_in_a_checkpoint(tmp_path: Path) -> None:
    """After each kill counts, positions and messages are there together, and no commit that was printed is missing.

    The kill comes when a checkpoint begins: the second of this process, the third, and so on.
    """
    committed = 0
    for kill in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent), str(committed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            printed = list[str]()
            while printed.count(CHECKPOINT) < 2 + kill % 5:
                printed.append(writer.stdout.readline().strip())
            os.kill(writer.pid, signal.SIGKILL)
            printed += writer.stdout.read().split()
        with closing(opened(tmp_path)) as journal:
            reached = journal.positions([PLACE])[PLACE].next_offset
            assert journal.totals().ingested == {("acme", LEADS): reached}
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT sum(messages), max(last_offset) FROM stretch").fetchall() == [
                (reached, reached - 1)
            ]
        before, (committed, rest) = committed, divmod(reached, MESSAGES)
        last_printed = int([line for line in printed if line != CHECKPOINT][-1])
        assert before < last_printed <= committed
        assert rest == 0
