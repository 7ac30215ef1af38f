"""Traffic through the local stack; where the API must fail, a small server stands before the real gateway."""

import base64
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from runbook.commands.traffic.result import TrafficResult
from runbook.commands.traffic.steps import _is_of_an_earlier_process
from runbook.conservation.snapshot import Count, Position, Snapshot
from runbook.errors import UsageError
from runbook.model import Created
from runbook.observer import NullObserver
from runbook.runs.run_history import all_runs, open_run
from runbook.settings import Target
from runbook.systems.kafka.client import Kafka
from runbook.waiting import Pending, wait_until
from tests.commands.chain import Chain
from tests.loopback import Loopback, Reply

pytestmark = pytest.mark.stack

PROGRAM = Path(sys.executable).parent / "crm-runbook"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as made:
        yield made


def with_url(target: Target, group: str, url: str) -> Target:
    """Return the target with one system at another address."""
    settings = getattr(target, group)
    fields = {name: getattr(target, name) for name in target.__slots__}
    return Target(**(fields | {group: settings.model_copy(update={"url": url})}))


def failing_gateway(server: Loopback, target: Target, *, passes: int, then: Reply) -> Target:
    """Let so many leads through to the real gateway, then answer by itself."""

    def answer(lead: Any) -> Reply:  # noqa: ANN401 - JSON
        if server.asked.count("POST /leads") > passes:
            return then
        token = requests.post(
            f"{target.keycloak.url}/realms/aetherlink/protocol/openid-connect/token",
            data={"grant_type": "password", "client_id": "aetherlink-gateway", "username": "demo", "password": "demo"},
            timeout=5,
        ).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Host": target.gateway.host}
        answered = requests.post(f"{target.gateway.url}/leads", json=lead, headers=headers, timeout=5)
        return Reply(answered.status_code, answered.json())

    server.routes["POST /leads"] = answer
    return with_url(target, "gateway", server.url)


def created(chain: Chain, result: TrafficResult) -> tuple[Created, ...]:
    """Return what the ledger holds, after looking that the record holds the same."""
    assert result.ledger is not None
    rows = tuple(row.created for row in result.ledger.rows)
    events = open_run(chain.state_dir, result.run_id).events("created")
    assert [(event.data["kind"], event.data["id"]) for event in events] == [(row.kind, row.id) for row in rows]
    return rows


def events_named(chain: Chain, run_id: str) -> set[int]:
    """Return the ids of the leads in Kafka whose e-mail names the run: what was really created."""
    target = chain.target
    with Kafka(target.kafka) as kafka:
        ends = kafka.end_offsets((target.kafka.lead_topic,))
        found = kafka.events({place: (0, end) for place, end in ends.items()}, deadline_s=10)
    values = [json.loads(event.raw) for event in found]
    return {value["id"] for value in values if run_id in value["email"]}


def test_everything_wanted_is_created_and_kept(chain: Chain) -> None:
    result = chain.send(leads=5, jobs=2)

    rows = created(chain, result)
    assert (result.outcome, result.exit_code) == ("ok", 0)
    assert Counter(row.kind for row in rows) == {"lead": 5, "job": 2}
    assert {row.tenant_id for row in rows} == {"acme"}
    assert all(row.sent_at <= row.answered_at for row in rows)
    assert len({row.label for row in rows}) == 7, "every run has e-mail addresses of its own"
    assert all(result.run_id in row.label for row in rows)


def test_more_jobs_than_leads_take_the_leads_in_turn(chain: Chain) -> None:
    assert chain.send(leads=1, jobs=3).exit_code == 0


def test_a_502_after_three_of_five(chain: Chain, server: Loopback) -> None:
    """It names what exists, claims nothing about the fourth, and verify accounts for the three and no more."""
    target = failing_gateway(server, chain.target, passes=3, then=Reply(502, b"Bad Gateway", "text/plain"))

    result = chain.send(leads=5, jobs=2, target=target)

    rows = created(chain, result)
    ids = ", ".join(str(row.id) for row in rows)
    assert (result.outcome, result.exit_code, len(rows)) == ("failed", 1, 3)
    assert result.problem is not None
    assert "lead 4 of 5 may have been created or not" in result.problem.seen
    assert f"(created so far: {ids})" in result.problem.seen
    assert server.asked == ["POST /leads"] * 4, "a POST is never repeated, and no job follows"

    proven = chain.verify(result.run_id)
    assert proven.ledger is not None
    assert [row.created.id for row in proven.ledger.rows] == [row.id for row in rows]
    assert {row.outcome for row in proven.ledger.rows} == {"ok"}
    assert [(total.topic, total.ours, total.outcome) for total in proven.ledger.sums] == [
        ("apexflow.leads.created", 3, "ok")
    ] * 2


def test_a_409_is_no_lead_and_is_kept_for_troubleshoot(chain: Chain, server: Loopback) -> None:
    conflict = Reply(409, {"detail": "Lead with this email already exists"})

    result = chain.send(target=failing_gateway(server, chain.target, passes=1, then=conflict))

    assert result.exit_code == 1
    assert result.problem is not None
    assert "lead 2 of 3 was not created" in result.problem.seen
    (problem,) = open_run(chain.state_dir, result.run_id).events("problem")
    assert (problem.data["code"], problem.data["status"]) == ("GW_DUPLICATE", 409)


@pytest.mark.parametrize(
    ("reply", "fate"),
    [
        (Reply(401, {"detail": "expired"}), "was not created"),
        (Reply(500, {"detail": "database"}), "may have been created or not"),
        (Reply(200, b"<html>", "text/html"), "may have been created or not"),
        (Reply(200, {"name": "without an id"}), "may have been created or not"),
    ],
    ids=["401", "500", "no JSON", "no id"],
)
def test_what_became_of_a_failed_request_is_said_as_far_as_it_is_known(
    chain: Chain, server: Loopback, reply: Reply, fate: str
) -> None:
    result = chain.send(target=failing_gateway(server, chain.target, passes=0, then=reply))

    assert result.exit_code == 1
    assert result.problem is not None
    assert f"lead 1 of 3 {fate}" in result.problem.seen
    assert "created so far: none" in result.problem.seen


def test_a_refused_connection_created_nothing(chain: Chain) -> None:
    with Loopback() as gone:
        url = gone.url

    result = chain.send(target=with_url(chain.target, "gateway", url))

    assert "lead 1 of 3 was not created" in result.problem.seen if result.problem else False


def test_a_token_without_a_tenant_sends_nothing(chain: Chain, server: Loopback) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": "me", "exp": 4_000_000_000}).encode()).decode().rstrip("=")
    server.routes["*"] = Reply(200, {"access_token": f"e30.{claims}.c2ln", "token_type": "Bearer"})

    result = chain.send(target=with_url(chain.target, "keycloak", server.url))

    assert (result.exit_code, created(chain, result)) == (1, ())
    assert [step.step for step in result.steps] == ["token"]
    assert "names no tenant" in result.problem.seen if result.problem else False


def test_a_rate_is_kept(chain: Chain) -> None:
    """Seven requests at 40 a second: the last turn comes six intervals after the first, however slow the machine."""
    rows = created(chain, chain.send(leads=5, jobs=2, rate=40))

    assert (rows[-1].answered_at - rows[0].sent_at).total_seconds() > 6 / 40 - 0.025


def test_what_cannot_be_read_before_does_not_stop_the_traffic(chain: Chain) -> None:
    """What Prometheus has scraped before is still known later: the run is proven."""
    with Loopback() as gone:
        url = gone.url
    target = with_url(chain.target, "prometheus", url)
    sent = chain.send(target=target)
    assert (sent.outcome, sent.exit_code) == ("inconclusive", 3)
    assert {step.step: step.outcome for step in sent.steps}["baseline"] == "not_checked"

    proven = chain.verify(sent.run_id)

    assert (proven.outcome, proven.exit_code) == ("ok", 0), proven.steps
    assert proven.ledger is not None
    assert {total.outcome for total in proven.ledger.sums} == {"ok"}


class Nobody(NullObserver):
    """There is no terminal to ask on."""

    def confirm(self, question: str) -> bool:
        raise UsageError(question, where="standard input", fix="add --yes")


class No(NullObserver):
    def confirm(self, question: str) -> bool:
        return "cannot be proven later" not in question


@pytest.mark.parametrize(("observer", "expected"), [(Nobody(), ("inconclusive", 3)), (No(), ("cancelled", 1))])
def test_nothing_is_sent_that_cannot_be_proven_unless_it_is_wanted(
    chain: Chain, observer: NullObserver, expected: tuple[str, int]
) -> None:
    with Loopback() as gone:
        target = with_url(chain.target, "prometheus", gone.url)
    before = events_named(chain, "")

    sent = chain.send(target=target, observer=observer)

    assert (sent.outcome, sent.exit_code) == expected
    assert sent.problem is not None
    assert "--yes" in sent.problem.fix
    assert events_named(chain, "") == before


def test_a_page_that_was_not_read_before_is_not_checked_later(chain: Chain) -> None:
    """Nobody remembers what it showed; exit 3, and the rest is proven."""
    with Loopback() as gone:
        url = gone.url
    target = replace(chain.target, sink=chain.target.sink.model_copy(update={"metrics_url": f"{url}/metrics"}))
    sent = chain.send(target=target)
    assert {step.step: step.outcome for step in sent.steps}["baseline"] == "not_checked"

    proven = chain.verify(sent.run_id)

    assert (proven.outcome, proven.exit_code) == ("inconclusive", 3)
    assert proven.ledger is not None
    assert {(total.source, total.outcome) for total in proven.ledger.sums} == {
        ("sink", "not_checked"),
        ("Prometheus", "ok"),
    }


def test_a_second_traffic_at_the_same_time_is_refused(chain: Chain) -> None:
    with subprocess.Popen(
        [PROGRAM, "traffic", "--target", "local", "--leads", "4000", "--rate", "20"],
        cwd=chain.folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        assert any("leads" in line for line in other.stdout)
        refused = chain.send()
        other.send_signal(signal.SIGINT)
        other.stdout.read()

    assert refused.exit_code == 5
    assert f"inv traffic, process {other.pid}" in refused.problem.seen if refused.problem else False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_between_two_requests_loses_no_created_id(chain: Chain, number: signal.Signals) -> None:
    """What is in Kafka with the run's e-mail addresses is exactly what the document and the record name."""
    with subprocess.Popen(
        [PROGRAM, "traffic", "--target", "local", "--leads", "5000", "--jobs", "0", "--rate", "50", "--json"],
        cwd=chain.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert any("  leads" in line for line in process.stderr)
        waited_for(chain, leads=5)
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=30)

    document = json.loads(stdout)
    ids = {row["id"] for row in document["ledger"]["rows"]}
    assert (process.returncode, document["outcome"]) == (130, "interrupted")
    assert 5 <= len(ids) < 5000
    assert "verify --target local" in document["error"]["fix"]
    proven = chain.verify(document["run_id"])
    assert proven.ledger is not None
    assert proven.ledger.proven == len(proven.ledger.rows) == len(ids)
    assert events_named(chain, document["run_id"]) == ids


def waited_for(chain: Chain, *, leads: int) -> None:
    """Wait until the newest record holds so many leads."""

    def enough() -> bool | Pending:
        found = len(all_runs(chain.state_dir)[-1].events("created"))
        return found >= leads or Pending(f"{found} leads")

    wait_until(enough, what="leads", deadline_s=20, where="record", fix="none", every_s=0.01)


@pytest.mark.parametrize(
    ("sampled", "offset", "expected"),
    [(5, 10, True), (5, 12, False), (0, 10, False)],
    ids=["began anew", "counted meanwhile", "the same"],
)
def test_a_sample_from_before_a_restart_is_no_baseline(sampled: float, offset: int, *, expected: bool) -> None:
    """Higher than the page although nothing more was read: 5 before and 5 after would make a growth of 0."""
    now = datetime.now(UTC)

    def snapshot(value: float, place: int) -> Snapshot:
        count = Count(topic="leads", tenant_id="acme", value=value)
        return Snapshot(at=now, counts=(count,), positions=(Position(topic="leads", partition=0, offset=place),))

    assert _is_of_an_earlier_process(snapshot(sampled, offset), snapshot(0, 10)) is expected
