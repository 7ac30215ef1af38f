"""Where the counting of a partition starts, from what Kafka and the journal know of it."""

import pytest

from sink.journal.model import Position
from sink.start_offsets import (
    PartitionOffsets,
    TopicIdAndEpoch,
    is_recreated,
    start_with_journal,
    start_without_journal,
)

STORED = Position(next_offset=50, epoch=2, cluster="c")


@pytest.mark.parametrize(
    ("known", "cluster", "stored", "start"),
    [
        ((None, 0, 90), "c", None, (0, 0)),
        ((30, 0, 90), "c", None, (30, 0)),
        ((30, 40, 90), "c", None, (40, 0)),
        ((90, 0, 90), "c", STORED, (50, 2)),
        ((None, 0, 90), "", STORED, (50, 2)),
        ((50, 60, 90), "c", STORED, (60, 2)),
        ((None, 10, 90), "d", STORED, (10, 3)),
        ((20, 10, 90), "d", STORED, (20, 3)),
        ((None, 0, 30), "c", STORED, (0, 3)),
        ((50, 0, 48), "c", STORED, (48, 3)),
    ],
    ids=[
        "new", "new-with-commit", "new-commit-expired", "journal-wins", "cluster-unknown", "expired",
        "other-cluster", "other-cluster-with-commit", "topic-recreated", "newest-lost",
    ],
)  # fmt: skip
def test_where_to_start(
    known: tuple[int | None, int, int], cluster: str, stored: Position | None, start: tuple[int, int]
) -> None:
    """Commit, earliest and end against the stored position: offset and epoch of the start."""
    committed, earliest, end = known
    found = start_with_journal(
        PartitionOffsets(committed=committed, earliest=earliest, end=end), cluster, stored
    ).position
    assert (found.next_offset, found.epoch) == start


@pytest.mark.parametrize(
    ("known", "counted", "start", "said"),
    [
        ((None, 3, 90), 0, 3, ""),
        ((30, 0, 90), 0, 30, ""),
        ((30, 0, 90), 40, 40, ""),
        ((30, 0, 20), 40, 20, "Kafka lost its newest messages: they end at 20, counted was up to 40"),
        ((None, 0, 20), 40, 0, "the topic was recreated"),
    ],
    ids=["new", "commit", "commit-refused", "newest-lost", "topic-recreated"],
)
def test_where_to_start_without_a_journal(
    known: tuple[int | None, int, int], counted: int, start: int, said: str
) -> None:
    """Commit, earliest and end against what this process has counted."""
    committed, earliest, end = known
    found = start_without_journal(PartitionOffsets(committed=committed, earliest=earliest, end=end), counted)
    assert (found.position.next_offset, found.note, found.lost) == (start, said, 0)


def test_what_kafka_deleted_uncounted() -> None:
    """It is told how many offsets lie between the position and the earliest message there is."""
    known = PartitionOffsets(committed=50, earliest=60, end=90)
    for start in (start_with_journal(known, "c", STORED), start_without_journal(known, 50)):
        assert start.position.next_offset == 60
        assert (start.lost, start.note) == (10, "Kafka deleted offsets 50 to 59 before they were counted")


@pytest.mark.parametrize("end", [30, 90], ids=["before our position", "past our position"])
def test_a_topic_with_another_id_is_read_from_its_start(end: int) -> None:
    """Even if it has grown past our position, or bears a commit of ours that was meant for the old one."""
    known = PartitionOffsets(committed=50, earliest=0, end=end)
    start = start_with_journal(known, "c", STORED, recreated=True)
    assert (start.position.next_offset, start.position.epoch, start.note) == (0, 3, "the topic was recreated")
    assert start_without_journal(known, 50, recreated=True).position.next_offset == 0


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (("a", 0), ("b", 0), True),
        (("a", 0), ("a", 0), False),
        (None, ("b", 0), False),
        (("", 0), ("b", 0), False),
        (("a", 0), ("", 0), False),
        (("a", 0), ("b", 1), False),
    ],
    ids=["another", "the same", "never seen", "not told before", "not told now", "another member has found out"],
)
def test_whether_a_topic_was_recreated(seen: TopicIdAndEpoch | None, now: TopicIdAndEpoch, *, expected: bool) -> None:
    """It takes two ids, and a journal in which nobody has begun at the new topic's start."""
    assert is_recreated(seen, now) is expected
