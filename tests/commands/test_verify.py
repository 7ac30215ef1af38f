"""Verify on the local stack: sums that close exactly, and a hop that cannot be read is never ok."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook.commands.verify.closing import CountsSeen
from runbook.commands.verify.criteria import Seen, judged
from runbook.commands.verify.events import EventsSeen, another_stack, kafka_events
from runbook.commands.verify.panels import PanelsSeen, panels_seen
from runbook.commands.verify.result import VerifyResult
from runbook.commands.verify.sink_log import sink_lines
from runbook.conservation.snapshot import sampled_snapshot
from runbook.conservation.traffic_run import Baseline, TrafficRun, traffic_run
from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.local_stack import stack
from runbook.model import Created
from runbook.observer import NullObserver
from runbook.runs.new_run import begin_run
from runbook.runs.run_history import open_run
from runbook.settings import STACK_DIR, Target
from runbook.systems.grafana.client import Frame
from runbook.systems.kafka.client import Kafka
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.processes.launcher import Launcher
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import LogLine, Service
from runbook.waiting import Pending, wait_until
from tests.commands.chain import Chain
from tests.commands.setups import Watcher
from tests.damage import without_its_end
from tests.loopback import Loopback, Reply


def changed(target: Target, group: str, **fields: str) -> Target:
    return replace(target, **{group: getattr(target, group).model_copy(update=fields)})


def hops(result: VerifyResult) -> list[dict[str, str]]:
    assert result.ledger is not None
    return [{hop.hop: hop.outcome for hop in row.hops} for row in result.ledger.rows]


def outcomes(result: VerifyResult) -> dict[str, str]:
    return {step.step: step.outcome for step in result.steps}


def sums(result: VerifyResult) -> list[tuple[str, str, int, int | None, int | None]]:
    assert result.ledger is not None
    return [(one.source, one.topic, one.ours, one.others, one.delta) for one in result.ledger.sums]


@pytest.mark.stack
def test_every_row_and_every_criterion_is_proven(chain: Chain) -> None:
    sent = chain.send(leads=3, jobs=2)

    proven = chain.verify()

    assert (proven.outcome, proven.exit_code) == ("ok", 0), proven.steps
    assert proven.ledger is not None
    assert (proven.ledger.run_id, proven.ledger.proven) == (sent.run_id, 5)
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["ok"] * 5
    for row in proven.ledger.rows:
        times = [hop.at for hop in row.hops if hop.hop in {"counter", "prometheus", "panel"} and hop.at]
        assert times == sorted(times), "no hop has seen an event before the hop that feeds it"
        assert len(times) == 3


@pytest.mark.stack
def test_traffic_of_others_in_between_is_counted_apart(chain: Chain) -> None:
    """Two later runs, told apart by nothing but their ids: the sums close to the last event that was counted."""
    ours = chain.send(leads=3, jobs=2)
    chain.send(leads=4, jobs=1)
    last = chain.send(leads=2, jobs=0)
    chain.verify(last.run_id)  # everything has been counted and scraped by now

    proven = chain.verify(ours.run_id)

    assert proven.exit_code == 0
    leads, jobs = "apexflow.leads.created", "apexflow.jobs.created"
    assert sums(proven) == [
        ("sink", jobs, 2, 1, 3),
        ("sink", leads, 3, 6, 9),
        ("Prometheus", jobs, 2, 1, 3),
        ("Prometheus", leads, 3, 6, 9),
    ]


@pytest.mark.stack
def test_a_second_verify_says_the_same(chain: Chain) -> None:
    sent = chain.send(leads=1, jobs=1)

    first, second = chain.verify(sent.run_id), chain.verify(sent.run_id)

    assert (sums(first), hops(first)) == (sums(second), hops(second))


@pytest.mark.stack
def test_without_kafka_nothing_is_claimed_of_events(chain: Chain) -> None:
    sent = chain.send(leads=2, jobs=1)

    proven = chain.verify(sent.run_id, target=changed(chain.target, "kafka", bootstrap="127.0.0.1:1"), timeout_s=5)

    assert (proven.outcome, proven.exit_code) == ("inconclusive", 3)
    assert outcomes(proven)["Kafka"] == "not_checked"
    not_checked = dict.fromkeys(("kafka", "sink log", "counter", "prometheus", "panel"), "not_checked")
    assert hops(proven) == [{"api": "ok", **not_checked}] * 3
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["ok"] * 5, "they speak of their own hop"


class Mute(ProcessRuntime):
    """A runtime whose logs cannot be read, as with a Docker engine that lets nobody in."""

    def log(self, *_: object, **__: object) -> tuple[LogLine, ...]:
        raise UnreachableError("permission denied", where="engine", fix="join the group docker", reason="permission")


@pytest.mark.stack
def test_a_log_that_cannot_be_read_is_not_checked_and_the_rest_is_proven(chain: Chain) -> None:
    sent = chain.send(leads=2, jobs=1)

    proven = chain.verify(sent.run_id, runtime=Mute(chain.folder / ".stack"))

    assert (proven.outcome, proven.exit_code) == ("inconclusive", 3)
    expected = dict.fromkeys(("api", "kafka", "counter", "prometheus", "panel"), "ok") | {"sink log": "not_checked"}
    assert hops(proven) == [expected] * 3
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["ok"] * 4 + ["not_checked"]
    assert any("Fix: join the group docker" in step.reason for step in proven.steps)


@pytest.mark.stack
def test_prometheus_away_is_not_checked(chain: Chain) -> None:
    sent = chain.send(leads=1, jobs=1)

    proven = chain.verify(sent.run_id, target=changed(chain.target, "prometheus", url="http://127.0.0.1:1"))

    assert (proven.outcome, proven.exit_code) == ("inconclusive", 3)
    assert {row["prometheus"] for row in hops(proven)} == {"not_checked"}
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["ok", "ok", "not_checked", "ok", "ok"]


@pytest.mark.stack
def test_an_event_that_never_came_is_a_failure(chain: Chain) -> None:
    """A lead that the API never made, slipped into the ledger: no event, no proof, exit 1."""
    sent = chain.send(leads=1, jobs=1)
    record = open_run(chain.state_dir, sent.run_id)
    (lead, _) = record.events("created")
    record.append("created", lead.data | {"id": 999_999})

    watcher = Watcher()
    proven = chain.verify(sent.run_id, timeout_s=2, observer=watcher)

    assert (proven.outcome, proven.exit_code) == ("failed", 1)
    assert watcher.notes[-1] == f"what is broken is named by: {inv('troubleshoot')}"
    lost = hops(proven)[-1]
    assert lost == {
        "api": "ok",
        "kafka": "failed",
        **dict.fromkeys(("sink log", "counter", "prometheus", "panel"), "not_checked"),
    }
    assert outcomes(proven)["Kafka"] == "failed"


@pytest.mark.stack
def test_no_such_run(chain: Chain) -> None:
    unknown = chain.verify("20990101-000000-0000")
    assert (unknown.exit_code, unknown.ledger, unknown.boundaries) == (4, None, None)


@pytest.mark.stack
def test_a_run_stays_proven_when_the_sink_is_restarted(chain: Chain) -> None:
    """The totals of its journal go on, so the sums close over the restart."""
    sent = chain.send(leads=2, jobs=1)
    assert chain.verify(sent.run_id).exit_code == 0
    chain.runtime.restart(sink_of(chain), timeout_s=10)
    wait_for_sink(chain)

    proven = chain.verify(sent.run_id)

    assert (proven.outcome, proven.exit_code) == ("ok", 0), proven.steps
    assert {(total[2], total[3], total[4]) for total in sums(proven)} == {(2, 0, 2), (1, 0, 1)}


@pytest.mark.stack
def test_a_sink_whose_counters_began_at_0_is_not_accused(without_journal: Chain) -> None:
    """Its page has forgotten the run; Prometheus still remembers both sides of the restart, of the page too."""
    chain = without_journal
    sent = chain.send(leads=2, jobs=1)
    assert chain.verify(sent.run_id).exit_code == 0
    chain.runtime.restart(sink_of(chain), timeout_s=10)
    wait_for_sink(chain)

    proven = chain.verify(sent.run_id)

    assert (proven.outcome, proven.exit_code) == ("ok", 0)
    assert {total[4] for total in sums(proven) if total[0] == "sink"} == {1, 2}
    assert set(hops(proven)[0].values()) == {"ok"}
    assert "the sink was restarted" in str(proven.steps)


@pytest.fixture
def without_journal(tmp_path: Path) -> Iterator[Chain]:
    """A chain of its own whose sink keeps its counters in memory only."""
    stack.up(tmp_path, NullObserver())
    try:
        made = Chain(tmp_path)
        assert made.set_up().exit_code == 0
        name, launcher = made.target.sink.service, Launcher(tmp_path / STACK_DIR)
        ours = launcher.record(name)
        assert ours is not None
        stack.stop_service(tmp_path, name)
        environment = {**ours.launch.environment, "SINK_JOURNAL": "none"}
        launcher.start(name, replace(ours.launch, environment=environment))
        wait_for_sink(made)
        yield made
    finally:
        stack.down(tmp_path, NullObserver())


def sink_of(chain: Chain) -> Service:
    return chain.target.sink.as_service


def wait_for_sink(chain: Chain) -> None:
    """Wait until the sink and its scrape are back."""

    def ready() -> bool | Pending:
        details = [part.detail for part in stack.status(chain.folder) if "not ready" in part.detail]
        return not details or Pending(str(details))

    wait_until(ready, what="the sink", deadline_s=30, where="stack", fix="none")


def run_a_plain_sink(chain: Chain) -> None:
    """Put the plain sink in the place of ours, and wait until Prometheus has scraped it."""
    name, launcher = chain.target.sink.service, Launcher(chain.folder / STACK_DIR)
    ours = launcher.record(name)
    assert ours is not None
    python, flag, *_ = ours.launch.command
    stack.stop_service(chain.folder, name)
    launcher.start(name, replace(ours.launch, command=(python, flag, "runbook.local_stack.fakes.plain_sink")))
    prometheus = Prometheus(chain.target.prometheus)

    def scraped() -> bool | Pending:
        found = sampled_snapshot(prometheus, job=chain.target.prometheus.job)
        return (found is not None and not found.positions) or Pending(str(found))

    wait_until(scraped, what="a scrape", deadline_s=30, where="Prometheus", fix="none")


def wait_for_a_commit(chain: Chain) -> None:
    """Wait until the plain sink's group has committed an event."""

    def committed() -> bool | Pending:
        with Kafka(chain.target.kafka) as kafka:
            found = kafka.committed((chain.target.kafka.lead_topic,))
        return any(found.values()) or Pending(str(found))

    wait_until(committed, what="a commit", deadline_s=30, where="Kafka", fix="none", every_s=0.5)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain of its own whose sink is a plain one: no positions, and series that are born above zero."""
    folder = tmp_path_factory.mktemp("plain")
    stack.up(folder, NullObserver())
    try:
        made = Chain(folder)
        assert made.set_up().exit_code == 0
        run_a_plain_sink(made)
        yield made
    finally:
        stack.down(folder, NullObserver())


@pytest.mark.stack
def test_a_plain_sink_ingests_and_leaves_the_panel_blind(plain: Chain) -> None:
    """Every hop but the panel is proven, and the reason is named: the series of jobs was born with the value 1.

    The lead goes to a series that has lived before. The first event was committed before these two were sent: a plain
    sink counts twice what it read before a rebalance.
    """
    plain.send(leads=1, jobs=0)
    wait_for_a_commit(plain)
    sent = plain.send(leads=1, jobs=1)

    proven = plain.verify(sent.run_id, timeout_s=8)

    assert proven.exit_code == 1
    proven_but_shown = dict.fromkeys(("api", "kafka", "sink log", "counter", "prometheus"), "ok")
    assert hops(proven) == [proven_but_shown | {"panel": "ok"}, proven_but_shown | {"panel": "failed"}]
    assert "ingested, panel blind (series born above zero)" in str(proven.ledger)
    assert [criterion.outcome for criterion in proven.criteria or ()] == ["failed", "ok", "ok", "ok", "ok"]


@pytest.mark.stack
def test_the_sums_of_a_plain_sink_close_without_positions(plain: Chain) -> None:
    sent = plain.send(leads=3, jobs=0)

    proven = plain.verify(sent.run_id, timeout_s=12)

    assert [(total[0], *total[2:]) for total in sums(proven)] == [("sink", 3, 0, 3), ("Prometheus", 3, 0, 3)]
    assert {(row["counter"], row["prometheus"]) for row in hops(proven)} == {("ok", "ok")}


LEADS = "apexflow.leads.created"


def test_a_run_of_yesterday_is_asked_for_at_its_own_time() -> None:
    """Later the panel's window of five minutes is empty: the queries go to the time of the run."""
    at = datetime.now(UTC) - timedelta(days=1)
    lead = Created(
        kind="lead",
        id=1,
        tenant_id="acme",
        topic=LEADS,
        label="",
        sent_at=at,
        answered_at=at + timedelta(seconds=1),
        status=200,
    )
    sent = TrafficRun(
        run_id="r",
        wanted=1,
        created=(lead,),
        baseline=Baseline(at=at, page=None, sampled=None, end_offsets=None),
        started_at=at,
    )
    ranges = []

    def answer(question: dict[str, str]) -> Reply:
        ranges.append((int(question["from"]), int(question["to"])))
        return Reply(200, {"results": {"A": {"frames": []}}})

    panel = {"targets": [{"expr": "1", "refId": "A"}]}
    with Loopback() as grafana:
        grafana.routes |= {
            "GET /api/dashboards/uid/crm-events-pipeline": Reply(
                200,
                {
                    "dashboard": {
                        "uid": "crm-events-pipeline",
                        "title": "",
                        "panels": [{**panel, "id": 20}, {**panel, "id": 21}],
                    },
                    "meta": {},
                },
            ),
            "POST /api/ds/query": answer,
        }
        target = changed(Target.from_tables("x", {}, source="test"), "grafana", url=grafana.url, datasource_uid="u")
        events = EventsSeen(every=(), found={})
        done = panels_seen(target, sent, events, CountsSeen(sums=(), at=at), 0)

    assert done.outcome == "failed"
    for start, end in ranges:
        assert start / 1000 < at.timestamp()
        assert at.timestamp() < end / 1000 < (at + timedelta(minutes=5)).timestamp()
    assert len(ranges) == 2


@pytest.mark.parametrize(
    ("lacks", "outcomes_of_both"),
    [({}, ["ok", "ok"]), ({21: ("targets[0].format",)}, ["ok", "failed"]), ({20: ("type",)}, ["failed", "ok"])],
)
def test_rates_do_not_make_up_for_what_a_panel_lacks(
    lacks: dict[int, tuple[str, ...]], outcomes_of_both: list[str]
) -> None:
    """The query answers whatever the panel makes of it: the criterion is what is shown."""
    target = Target.from_tables("x", {}, source="test")
    topics = (target.kafka.lead_topic, target.kafka.job_topic)
    by_topic = tuple(rate({"topic": topic}) for topic in topics)
    panels = PanelsSeen(by_topic=by_topic, top_tenants=(rate({"tenant_id": "acme"}),), lacking=lacks)

    criteria = judged(target, Seen(panels=panels))[:2]

    assert [criterion.outcome for criterion in criteria] == outcomes_of_both
    for number, fields in lacks.items():
        assert f"served with other {fields[0]}" in criteria[number - 20].evidence[0].saw


def rate(labels: dict[str, str]) -> Frame:
    return Frame(ref_id="A", name="x", labels=labels, times=(datetime.now(UTC),), values=(0.5,))


def test_the_traffic_of_a_fault_injection_is_not_the_newest_run(tmp_path: Path) -> None:
    """`stack.break` and `stack.mend` create leads too; who asks for no run means his own."""
    for task in ("traffic", "stack.break"):
        run_log = begin_run(tmp_path, task=task, target="local")
        run_log.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
        run_log.append("created", created(task))

    assert [one.label for one in traffic_run(tmp_path, target="local", run_id=None).created] == ["traffic"]


def created(label: str) -> Created:
    at = datetime.now(UTC)
    return Created(
        kind="lead", id=1, tenant_id="acme", topic=LEADS, label=label, sent_at=at, answered_at=at, status=200
    )


def test_a_run_without_traffic_has_nothing_to_prove(tmp_path: Path) -> None:
    run_log = begin_run(tmp_path, task="traffic", target="local")
    run_log.append("traffic", {"leads": 5, "jobs": 2, "rate": None})

    with pytest.raises(RunbookError, match="created no lead and no job"):
        traffic_run(tmp_path, target="local", run_id=run_log.run_id)


def test_a_newer_run_that_created_nothing_is_passed_over_and_named(tmp_path: Path) -> None:
    meant = begin_run(tmp_path, task="traffic", target="local")
    meant.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
    meant.append("created", created("meant"))
    empty = begin_run(tmp_path, task="traffic", target="local")
    empty.append("traffic", {"leads": 1, "jobs": 0, "rate": None})

    found = traffic_run(tmp_path, target="local", run_id=None)

    assert found.run_id == meant.run_id
    assert found.notes == (f"Run {empty.run_id} created nothing; the newest that did is run {meant.run_id}",)


@pytest.mark.stack
def test_a_run_of_another_cluster_is_known_at_once(chain: Chain) -> None:
    """Nothing is waited for: its events cannot come here."""
    sent = chain.send(leads=1, jobs=0)
    run = traffic_run(chain.state_dir, target="local", run_id=sent.run_id)
    assert run.baseline.cluster_id
    elsewhere = replace(run, baseline=replace(run.baseline, cluster_id="another"))

    assert another_stack(chain.target, run) is None
    assert kafka_events(chain.target, run, timeout_s=30).outcome == "ok"
    gone = another_stack(chain.target, elsewhere)
    assert gone is not None
    assert "was made on Kafka cluster another, and this is cluster" in gone.seen


@pytest.mark.stack
def test_a_log_without_a_line_for_every_event_is_not_ok(chain: Chain) -> None:
    """Also where not one of the events was found in Kafka."""
    sent = chain.send(leads=1, jobs=0)
    run = traffic_run(chain.state_dir, target="local", run_id=sent.run_id)
    late = replace(run, started_at=run.started_at + timedelta(hours=1))
    nothing = EventsSeen(every=(), found={})

    assert sink_lines(chain.target, late, nothing, chain.runtime, timeout_s=0.1).outcome == "failed"


def test_a_damaged_newest_traffic_run_is_passed_over_and_named(chain: Chain) -> None:
    """The one before it is proven; asked for by its id, the damaged one is an error."""
    sent = chain.send(leads=1, jobs=1)
    damaged = begin_run(chain.state_dir, task="traffic", target="local")
    damaged.append("traffic", {"leads": 1, "jobs": 0, "rate": None})
    without_its_end(damaged)
    (chain.state_dir / "runs" / ".DS_Store").write_text("mine")
    watcher = Watcher()

    result = chain.verify(observer=watcher)
    asked = chain.verify(damaged.run_id)
    shutil.rmtree(damaged.folder)

    assert result.outcome == "ok"
    assert result.ledger is not None
    assert result.ledger.run_id == sent.run_id
    (note,) = (note for note in watcher.notes if "skipped" in note)
    assert note.startswith(f"Run {damaged.run_id} is damaged and was skipped: The end of the run record is missing")
    assert str(damaged.folder / "record.jsonl") in note
    assert asked.exit_code == 1


def test_only_damaged_traffic_runs(tmp_path: Path) -> None:
    """There is nothing to prove, and it is said why the run that is there does not count."""
    damaged = begin_run(tmp_path, task="traffic", target="local")
    damaged.append("traffic", {"leads": 5, "jobs": 2, "rate": None})
    without_its_end(damaged)

    with pytest.raises(RunbookError, match="no traffic run") as caught:
        traffic_run(tmp_path, target="local", run_id=None)

    assert f"Run {damaged.run_id} is damaged and was skipped" in caught.value.where
