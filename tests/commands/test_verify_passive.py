"""Verify without a run of its own: real traffic is judged boundary by boundary, and nothing is created."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from runbook.commands.verify.options import VerifyOptions
from runbook.commands.verify.result import VerifyResult
from runbook.errors import UsageError
from runbook.systems.kafka.client import Kafka
from runbook.waiting import Pending, wait_until
from tests.commands.chain import Chain
from tests.commands.setups import Watcher
from tests.loopback import Loopback, Reply

LEADS, JOBS = "apexflow.leads.created", "apexflow.jobs.created"
_QUIET_S = 10


def outcomes(result: VerifyResult) -> dict[str, tuple[str, bool]]:
    return {one.name: (one.outcome, one.is_exercised) for one in result.boundaries or ()}


def criteria(result: VerifyResult) -> list[str]:
    return [one.outcome for one in result.criteria or ()]


def ends(chain: Chain) -> dict[tuple[str, int], int]:
    with Kafka(chain.target.kafka) as kafka:
        return dict(kafka.end_offsets((LEADS, JOBS)))


@pytest.mark.stack
def test_real_traffic_is_judged_and_nothing_is_created(chain: Chain) -> None:
    chain.send(leads=3, jobs=2)
    chain.verify()  # everything is counted and scraped by now
    before = ends(chain)

    judged = chain.verify(passive=True)

    assert (judged.outcome, judged.exit_code) == ("ok", 0), judged.steps
    assert ends(chain) == before
    assert judged.ledger is None
    assert criteria(judged) == ["ok"] * 5
    assert outcomes(judged) == dict.fromkeys(
        ("Kafka to sink", "sink to Prometheus", "Prometheus to Grafana"), ("ok", True)
    )
    counted = {one.topic: (one.entered, one.left) for one in (judged.boundaries or ())[0].flows}
    assert counted[LEADS][0] >= 3
    assert counted[JOBS][0] >= 2


@pytest.mark.stack
def test_a_page_that_lacks_an_event_fails_with_its_integer(chain: Chain) -> None:
    """The broken variant: the same flow, of whose counts one is missing on the page."""
    chain.send(leads=1, jobs=1)
    chain.verify()

    def lessened(_: object) -> Reply:
        text = requests.get(chain.target.sink.metrics_url, timeout=5).text
        pattern = rf'(crm_events_ingested_total{{[^}}]*topic="{LEADS}"[^}}]*}}) (\d+)'
        changed, number = re.subn(pattern, lambda found: f"{found[1]} {int(found[2]) - 1}", text)
        assert number == 1
        return Reply(200, changed.encode(), "text/plain; version=0.0.4")

    with Loopback() as sink:
        sink.routes["GET /metrics"] = lessened
        settings = chain.target.sink.model_copy(update={"metrics_url": f"{sink.url}/metrics"})
        judged = chain.verify(target=replace(chain.target, sink=settings), passive=True, timeout_s=6)

    assert (judged.outcome, judged.exit_code) == ("failed", 1)
    first = (judged.boundaries or ())[0]
    assert first.outcome == "failed"
    assert {one.topic: one.left - one.entered for one in first.flows} == {LEADS: -1, JOBS: 0}
    assert judged.problem is not None
    assert "1 missing" in judged.problem.seen
    assert "troubleshoot" in judged.problem.fix


@pytest.mark.stack
def test_without_any_run_the_real_traffic_is_judged_and_that_is_said(chain: Chain, tmp_path: Path) -> None:
    chain.send(leads=1, jobs=1)
    chain.verify()  # everything is counted and scraped by now
    nothing, watcher = Chain(tmp_path), Watcher()
    (tmp_path / ".stack").symlink_to(chain.folder / ".stack")

    judged = nothing.verify(observer=watcher)

    assert (judged.outcome, judged.exit_code) == ("ok", 0), judged.steps
    assert any("There is no traffic run" in note and "real traffic is judged" in note for note in watcher.notes)
    assert judged.ledger is None
    assert judged.boundaries


@pytest.mark.stack
def test_without_any_event_nothing_is_called_met_or_failed(chain: Chain, tmp_path: Path) -> None:
    """A flow that nothing crossed is no fault and no proof: exit 3, and what would make it one."""
    chain.send(leads=1, jobs=0)
    sent_at = datetime.now(UTC)
    nothing = Chain(tmp_path)
    (tmp_path / ".stack").symlink_to(chain.folder / ".stack")

    def quiet() -> bool | Pending:
        left = sent_at + timedelta(seconds=_QUIET_S + 1) - datetime.now(UTC)
        return left < timedelta() or Pending(f"{left} left")

    wait_until(quiet, what="a window without events", deadline_s=60, where="the chain", fix="none")

    judged = nothing.verify(passive=True, since_s=_QUIET_S, timeout_s=6)

    assert (judged.outcome, judged.exit_code) == ("inconclusive", 3), judged.steps
    assert criteria(judged)[2:4] == ["ok", "ok"]
    assert criteria(judged)[4] == "not_checked"
    assert "failed" not in criteria(judged)
    assert outcomes(judged)["Kafka to sink"] == ("ok", False)
    assert judged.problem is not None
    assert f"no event of {LEADS} since" in judged.problem.seen
    assert "traffic" in judged.problem.fix


@pytest.mark.stack
def test_a_system_that_is_away_makes_its_boundaries_not_checked(chain: Chain) -> None:
    """Never ok, never failed; the others are judged."""
    chain.send(leads=1, jobs=1)
    chain.verify()
    with Loopback() as gone:
        url = gone.url
    settings = chain.target.grafana.model_copy(update={"url": url})

    judged = chain.verify(target=replace(chain.target, grafana=settings), passive=True, timeout_s=6)

    assert (judged.outcome, judged.exit_code) == ("inconclusive", 3)
    assert outcomes(judged) == {
        "Kafka to sink": ("ok", True),
        "sink to Prometheus": ("ok", True),
        "Prometheus to Grafana": ("not_checked", False),
    }
    assert criteria(judged) == ["not_checked", "not_checked", "ok", "ok", "ok"]


@pytest.mark.parametrize("options", [{"passive": True, "run_id": "20251103-194851-ab12"}, {"since_s": 60}])
def test_options_that_contradict_each_other_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        VerifyOptions(**options)  # type: ignore[arg-type]  # the fields that the test names
