"""Sink and runbook mean the same by an event: each reads messages with its own code, and both must say the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.systems.kafka.content import Content, content_of
from sink.decoding import Event, decode_one

LEAD = b'{"id": 17, "tenant_id": "acme", "event_type": "lead.created"}'
CORPUS = (
    None,
    b"",
    b" \t\r\n",
    LEAD,
    LEAD + b"\n",
    LEAD + LEAD,
    b"\xef\xbb\xbf" + LEAD,
    LEAD[:-1],
    b"\xff\xfe",
    b"null",
    b"true",
    b"NaN",
    b"1e999",
    b"[]",
    b"{}",
    b'"acme"',
    b'{"tenant_id": "acme"}',
    b'{"tenant_id": "acme", "event_type": 1}',
    b'{"tenant_id": null, "event_type": "lead.created"}',
    b'{"tenant_id": "", "event_type": "lead.created"}',
    b'{"tenant_id": "a\\u0007b", "event_type": "lead.created"}',
    b'{"tenant_id": "\\ud800", "event_type": "lead.created"}',
    b'{"tenant_id": "\xe2\x80\xa8", "event_type": "lead.created"}',
    b'{"tenant_id": "%s", "event_type": "lead.created"}' % (b"x" * 255),
    b'{"tenant_id": "%s", "event_type": "lead.created"}' % (b"x" * 256),
    b'{"tenant_id": "acme", "tenant_id": "globex", "event_type": "lead.created"}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "score": 1e999}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "score": NaN}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "id": 1e999}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "id": %s}' % (b"9" * 4301),
    b'{"tenant_id": "acme", "event_type": "lead.created", "phone": "\\ud800"}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "phone": "\xff"}',
    b'{"tenant_id": "acme", "event_type": "lead.created", "tags": %s}' % (b"[" * 5000 + b"]" * 5000),
    b'{"tenant_id": 1, "event_type": "lead.created", "tags": %s}' % (b"[" * 5000 + b"]" * 5000),
)


def sinks(value: bytes | None) -> tuple[str, str, str]:
    outcome = decode_one(value)
    return (outcome.tenant_id, outcome.event_type, "") if isinstance(outcome, Event) else ("", "", str(outcome))


def runbooks(value: bytes | None) -> tuple[str, str, str]:
    content = content_of(value)
    return content.tenant_id, content.event_type, content.rejected


@pytest.mark.parametrize("value", CORPUS, ids=lambda value: repr(value)[:60])
def test_both_read_a_message_alike(value: bytes | None) -> None:
    assert sinks(value) == runbooks(value)


def test_the_corpus_has_events_and_every_reason_to_reject() -> None:
    """Else a definition that rejects everything, or nothing, would pass."""
    reasons = {sinks(value)[2] for value in CORPUS}

    assert reasons == {
        "",
        "null_value",
        "empty",
        "not_utf8",
        "not_json",
        "not_an_object",
        "missing_field",
        "wrong_type",
        "bad_tenant",
    }


FIELDS = st.dictionaries(
    st.sampled_from(["tenant_id", "event_type", "id", "name", "score"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)


@given(value=st.binary(max_size=40) | FIELDS.map(msgspec.json.encode))
def test_both_read_anything_alike(value: bytes) -> None:
    assert sinks(value) == runbooks(value)


def test_an_id_that_is_no_whole_number_is_none() -> None:
    """It is an event: the sink does not read its id."""
    written = [b"17", b"17.0", b"1.7e1", b'"17"', b"17.5", b"true", b"null", b"1e999", b"9007199254740993.0"]
    ids = [content_of(b'{"tenant_id": "a", "event_type": "b", "id": %s}' % one).entity_id for one in written]

    assert ids == [17, 17, 17, *[None] * 6]
    assert content_of(b'{"tenant_id": "a", "event_type": "b"}') == Content(tenant_id="a", event_type="b")
