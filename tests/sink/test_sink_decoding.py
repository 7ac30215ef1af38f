"""What is an event, and the promise that the fast way never differs from the exact one."""

from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sink.decoding import DecodedBatch, Event, RejectReason, decode_batch, decode_one

GOOD = b'{"tenant_id": "acme", "event_type": "lead.created"}'
HEAD, TAIL = b'{"tenant_id": "acme", "event_type": "x", "more": ', b'{"tenant_id": "b", "event_type": "y"}}'

fragments = st.sampled_from(
    [
        *(GOOD, HEAD, TAIL, b"{}", b"null", b"7", b'"tenant_id"', b'"event_type"', b'"\\ud800"', b'"\\n"'),
        *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b" ", b"}\n{"),
        *(b"\xff", b"\xc3\xa9", b"\x00", b"\xef\xbb\xbf"),
    ]
)
values = st.none() | st.just(GOOD) | st.lists(fragments, max_size=6).map(b"".join) | st.binary(max_size=12)


def one_by_one(batch: Sequence[bytes | None]) -> DecodedBatch:
    """Return what the definition says, value by value."""
    outcomes = [decode_one(value) for value in batch]
    return DecodedBatch(
        events=[o for o in outcomes if isinstance(o, Event)],
        rejected={n: o for n, o in enumerate(outcomes) if isinstance(o, RejectReason)},
    )


@settings(deadline=None)  # a busy machine may interrupt any example
@given(st.lists(values, min_size=1, max_size=8))
@example([GOOD] * 3)
@example([GOOD + GOOD, b""])
@example([HEAD, TAIL + GOOD])
@example([GOOD + b"\n" + GOOD, b" "])
def test_batch_agrees_with_one_by_one(batch: list[bytes | None]) -> None:
    """Whatever is on the topic, a batch gives the events and the reasons that its values give one by one."""
    assert decode_batch(batch) == one_by_one(batch)


@pytest.mark.parametrize("batch", [[GOOD + GOOD, b""], [HEAD, TAIL + GOOD]])
def test_counting_newlines_is_not_enough(batch: list[bytes]) -> None:
    """The same batches fool a decoder that only compares the counts of newlines and of results."""

    def fooled(decode: Callable[[bytes], list[Event]]) -> bool:
        text = b"\n".join(batch)
        return text.count(b"\n") == len(batch) - 1 and len(decode(text)) == len(batch)

    assert fooled(msgspec.json.Decoder(Event).decode_lines)
    assert decode_batch(batch).rejected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, RejectReason.NULL),
        (b"", RejectReason.EMPTY),
        (b" \n", RejectReason.EMPTY),
        (GOOD[:-1] + b', "name": "\xff"}', RejectReason.NOT_UTF8),
        (b"\xef\xbb\xbf" + GOOD, RejectReason.NOT_JSON),
        (GOOD + GOOD, RejectReason.NOT_JSON),
        (b'{"tenant_id": "acme", "event_type": "x", "more": ' + b"[" * 100_000, RejectReason.NOT_JSON),
        (b'"text"', RejectReason.NOT_OBJECT),
        (b'{"tenant_id": "acme"}', RejectReason.MISSING_FIELD),
        (b'{"tenant_id": null, "event_type": "x"}', RejectReason.WRONG_TYPE),
        (b'{"tenant_id": "acme", "event_type": ["x"]}', RejectReason.WRONG_TYPE),
        (b'{"tenant_id": "", "event_type": "x"}', RejectReason.BAD_TENANT),
        (b'{"tenant_id": "a\\u0007", "event_type": "x"}', RejectReason.BAD_TENANT),
        (b'{"tenant_id": "' + b"a" * 256 + b'", "event_type": "x"}', RejectReason.BAD_TENANT),
    ],
)
def test_reason(value: bytes | None, reason: RejectReason) -> None:
    """Each way of not being an event has its own reason, alone and among good events."""
    assert decode_one(value) == reason
    assert decode_batch([GOOD, value, GOOD]).rejected == {1: reason}


def test_pretty_printed() -> None:
    """An event may be written over several lines, with other fields, and with any letters in its tenant."""
    value = '{\n  "tenant_id": "Łódź",\n  "tags": [{}],\n  "event_type": "lead.created"\n}\n'.encode()
    assert decode_batch([value]).events == [Event(tenant_id="Łódź", event_type="lead.created")]
