"""`crm-events-sink journal`: what it shows, what it finds wrong, what it exports."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

import psycopg
import pytest

from sink.command_line import parsed
from sink.decoding import RejectReason
from sink.http_server import HttpServer, Response
from sink.journal.command import journal_command
from sink.journal.model import JournalEntry, Position
from tests.sink.journals import JournalAddress, message_run
from tests.sink.sink_process import JOBS, LEADS, event

LEADS_PAGE = """\
crm_events_ingested_total{tenant_id="acme",topic="apexflow.leads.created"} %d
crm_events_rejected_total{topic="apexflow.leads.created",reason="empty"} 1
crm_events_next_offset{topic="apexflow.leads.created",partition="0"} %d
crm_events_ingested_total{tenant_id="acme",topic="apexflow.jobs.created"} 1
crm_events_next_offset{topic="apexflow.jobs.created",partition="0"} 7
"""


@pytest.fixture
def filled(journal_address: JournalAddress) -> JournalAddress:
    """Two leads of two tenants, a job of the first lead, and a message that is none."""
    journal = journal_address.opened()
    start = Position(next_offset=0, cluster="c")
    journal.set_positions({(LEADS, 0): (None, start), (JOBS, 0): (None, Position(next_offset=6, cluster="c"))})
    job = b'{"id": 3, "tenant_id": "acme", "lead_id": 17, "event_type": "job.created"}'
    runs = [
        message_run(
            LEADS,
            (0, "acme", "lead.created", None, b"acme:lead:17", event("acme")),
            (1, "b", "lead.created", None, b"b:lead:18", event("b")),
            (2, None, None, RejectReason.EMPTY, None, b"\xff"),
        ),
        message_run(JOBS, (6, "acme", "job.created", None, b"acme:job:3", job)),
    ]
    ingested = {("acme", LEADS): 1, ("b", LEADS): 1, ("acme", JOBS): 1}
    moves, rejected = {(LEADS, 0): (0, 3), (JOBS, 0): (6, 7)}, {(LEADS, RejectReason.EMPTY): 1}
    journal.write(JournalEntry(moves=moves, ingested=ingested, rejected=rejected, message_runs=runs))
    journal.close()
    return journal_address


def output(address: JournalAddress, *arguments: str) -> tuple[int, str]:
    """Run the command and return its exit code and what it wrote."""
    out = io.StringIO()
    return journal_command(parsed(["journal", *arguments]), address.env(), out), out.getvalue()


def test_show(filled: JournalAddress) -> None:
    """Positions, counts and kept messages, for people."""
    code, text = output(filled, "show")
    assert code == 0
    assert "group crm-events-sink" in text
    assert f"{JOBS} partition 0: next offset 7, 1 passed" in text
    assert f"{LEADS}: 2 events of 2 tenants, 3 messages stored" in text
    assert f"{LEADS}: 1 rejected, empty" in text


def test_verify(filled: JournalAddress) -> None:
    """Right sums are right; a changed count is found."""
    code, text = output(filled, "verify")
    assert (code, text.count("ok "), text.count("WRONG")) == (0, 2, 0)
    change = "UPDATE {}ingested SET events = events + 1 WHERE tenant_id = 'b'"
    if filled.address.startswith("sqlite:"):
        with closing(sqlite3.connect(filled.address.removeprefix("sqlite:"))) as db, db:
            db.execute(change.format(""))
    else:
        with psycopg.connect(filled.address) as database:
            database.execute(change.format("crm_events_sink."))
    code, text = output(filled, "verify")
    assert (code, text.count("WRONG")) == (1, 1)
    assert "3 offsets passed, 4 messages counted" in text


@pytest.fixture
def pages() -> Iterator[dict[str, str]]:
    """A server of one page, whose text is the entry "text"; "url" is its address."""
    shown = {"text": ""}
    routes = {
        "GET /metrics": lambda _: Response(status=HTTPStatus.OK, content_type="text/plain", body=shown["text"].encode())
    }
    server = HttpServer("127.0.0.1", 0, routes)
    shown["url"] = f"http://127.0.0.1:{server.port}/metrics"
    yield shown
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("counted", "position", "right"), [(2, 3, True), (12, 13, True), (3, 3, False), (2, 4, False)])
def test_verify_against_a_page(
    filled: JournalAddress, pages: dict[str, str], counted: int, position: int, *, right: bool
) -> None:
    """A page of a later moment agrees if it has grown by what it has passed; anything else is found."""
    pages["text"] = LEADS_PAGE % (counted, position)
    code, text = output(filled, "verify", "--metrics", pages["url"])
    assert (code == 0) == right, text


def test_export(filled: JournalAddress) -> None:
    """All messages, one document a line; what is no JSON object comes in base64."""
    code, text = output(filled, "export")
    lead, _, bad, job = (json.loads(line) for line in text.splitlines())
    assert code == 0
    assert (lead["tenant_id"], lead["key"], lead["value"]["id"]) == ("acme", "acme:lead:17", 17)
    assert (bad["reason"], bad["value"], bad["value_base64"]) == ("empty", None, "/w==")
    assert (job["topic"], job["offset"], job["value_base64"]) == (JOBS, 6, None)


def test_export_of_a_lead(filled: JournalAddress) -> None:
    """A lead's rows are its own events and its jobs'; CSV has a line of names."""
    _, text = output(filled, "export", "--lead", "17", "--tenant", "acme", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["key"] for row in rows] == ["acme:lead:17", "acme:job:3"]
    assert json.loads(rows[1]["value"])["lead_id"] == 17
    assert output(filled, "export", "--lead", "7") == (0, "")


def test_refused(filled: JournalAddress, capsys: pytest.CaptureFixture[str]) -> None:
    """No journal, a journal that is not there, and an address that is no URL each have their message and exit code."""
    assert output(JournalAddress("none"), "show") == (4, "")
    assert output(JournalAddress("sqlite:/no/such/file"), "show") == (1, "")
    assert output(filled, "verify", "--metrics", "9105")[0] == 1
    errors = capsys.readouterr().err
    for text in ("SINK_JOURNAL is 'none'", "unable to open database file", "--metrics is '9105'"):
        assert text in errors
