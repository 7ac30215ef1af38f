"""The examiner of verify: each kind of wrong answer is seen, runs can be repeated, a sample is right."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random
from typing import Any

import pytest

from benchmarks.proofs.disturbances import DISTURBANCES
from benchmarks.proofs.figures import Figures
from benchmarks.proofs.foreign import GARBAGE, other_events
from benchmarks.proofs.judge import KINDS, judged
from benchmarks.proofs.oracle import Baseline, Run, Truth
from benchmarks.proofs.program import Ended
from benchmarks.proofs.scenario import Scenario, scenario
from benchmarks.proofs.sources import Message, Page
from benchmarks.proofs.trial import Outcome
from benchmarks.verify import run_stack
from runbook.errors import RunbookError
from runbook.local_stack.real import found_programs
from runbook.local_stack.tools import found_tools
from sink.decoding import Event, decode_one

RUN = "20261128-034418-42f8"
LEADS = "apexflow.leads.created"
AT = "2026-11-28T03:44:18.500Z"
AT_S = 1795837458.5
HOPS = ("api", "kafka", "sink log", "counter", "prometheus", "panel")
SEED = 1
Change = Callable[[dict[str, Any]], None]


def a_document() -> dict[str, Any]:
    """What verify says of one proven lead."""
    hops = [{"hop": hop, "outcome": "ok", "saw": hop, "at": AT} for hop in HOPS]
    row = {"kind": "lead", "id": 1, "tenant_id": "acme", "topic": LEADS, "label": "x", "sent_at": AT, "answered_at": AT}
    total = {"source": "sink", "topic": LEADS, "tenant_id": "acme", "ours": 1, "others": 2, "delta": 3, "outcome": "ok"}
    return {
        "schema": 2,
        "task": "verify",
        "target": "local",
        "run_id": "20261128-034500-0000",
        "started_at": AT,
        "duration_s": 1.5,
        "outcome": "ok",
        "exit_code": 0,
        "steps": [
            {"step": "sink log", "number": 5, "outcome": "ok", "reason": "1 line", "evidence": [], "duration_s": 0.1}
        ],
        "criteria": [{"number": 4, "claim": "The metrics endpoint returns data", "outcome": "ok", "evidence": []}],
        "ledger": {
            "run_id": RUN,
            "outcome": "ok",
            "proven": 1,
            "total": 1,
            "rows": [{**row, "status": 200, "outcome": "ok", "hops": hops}],
            "sums": [total],
        },
    }


def the_run() -> Run:
    nothing = Baseline(at_s=AT_S - 5, page=Page(counted={}, positions={}), ends={}, log_size=0)
    return Run(run_id=RUN, baseline=nothing, created=frozenset({("lead", 1)}))


def the_truth() -> Truth:
    event = Message(topic=LEADS, partition=0, offset=7, at_s=AT_S, value=b"{}")
    series = (LEADS, "acme")
    return Truth(events={("lead", 1): event}, ours={series: 1}, others={series: 2})


def ended(change: Change = lambda _: None, *, stderr: str = "", says_a_fix: bool = True) -> Ended:
    document = copy.deepcopy(a_document())
    change(document)
    text = stderr or ("Fix: inv verify" if says_a_fix else "")
    return Ended(code=document["exit_code"], document=document, stdout=json.dumps(document), stderr=text)


def setting(*path: str | int, to: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        part: Any = document
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = to

    return change


def both(*changes: Change) -> Change:
    def change(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return change


FAILED = setting("exit_code", to=1)
NOT_CHECKED = setting("exit_code", to=3)
HOP = ("ledger", "rows", 0, "hops")


def kinds(seen: Ended, truth: Truth | None = None) -> set[str]:
    return {defect.kind for defect in judged(seen, the_run(), truth or the_truth())}


def test_a_right_answer_has_no_defect() -> None:
    assert kinds(ended()) == set()


def test_a_loss_that_is_told_has_no_defect() -> None:
    truth = the_truth()
    truth.lost, truth.lost_keys = "lead 1 is not in Kafka", frozenset({("lead", 1)})
    told = both(FAILED, setting("ledger", "rows", 0, "outcome", to="failed"))
    assert kinds(ended(told), truth) == set()


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("false failed", ended(both(FAILED, setting(*HOP, 2, "outcome", to="failed")))),
        ("false failed", ended(FAILED)),
        ("not checked without need", ended(both(NOT_CHECKED, setting(*HOP, 4, "outcome", to="not_checked")))),
        ("absurd", ended(setting("ledger", "sums", 0, "delta", to=-15))),
        ("absurd", ended(setting("steps", 0, "reason", to="counted -15"))),
        ("absurd", ended(setting("steps", 0, "reason", to="0 lines for 7 events"))),
        ("absurd", ended(setting("ledger", "sums", 0, "ours", to=2))),
        ("absurd", ended(setting("ledger", "sums", 0, "others", to=3))),
        ("absurd", ended(setting("ledger", "sums", 0, "delta", to=4))),
        ("time", ended(setting(*HOP, 5, "at", to="2026-11-28T03:44:18.000Z"))),
        ("time", ended(setting(*HOP, 5, "at", to="2126-11-28T03:44:18.000Z"))),
        ("no fix", ended(FAILED, says_a_fix=False)),
        ("trace", ended(stderr="Traceback (most recent call last):\n  ...\nKeyError: 'x'")),
        ("form", ended(setting("outcome", to="perfect"))),
        ("form", ended(setting("ledger", "run_id", to="20261128-000000-0000"))),
        ("form", ended(setting("ledger", "rows", to=[]))),
        ("form", ended(setting("criteria", 0, "outcome", to="not_checked"))),
        ("form", Ended(code=1, document={}, stdout="", stderr="")),
    ],
)
def test_each_kind_of_wrong_answer_is_seen(kind: str, seen: Ended) -> None:
    """Negative control: nothing was lost, and verify says something that is not so."""
    assert kind in kinds(seen)


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ({"forgets": False}, "the counter began at 0"),
        ({"restarted": False}, "the sink was restarted"),
        ({"away": False}, "the sink does not answer"),
    ],
)
def test_a_reason_that_is_not_true_is_seen(truth: dict[str, Any], reason: str) -> None:
    """That it is not checked is right, and what it says is not so."""
    change = both(NOT_CHECKED, setting(*HOP, 3, "outcome", to="not_checked"), setting(*HOP, 3, "saw", to=reason))
    excused = the_truth()
    excused.excuses["counter"] = "given"
    for name, value in truth.items():
        setattr(excused, name, value)
    assert kinds(ended(change), excused) == {"false reason"}


@pytest.mark.parametrize(
    "loss",
    [
        {"lost": "the sink has skipped one"},
        {"lost": "lead 1 is not in Kafka", "lost_keys": frozenset({("lead", 1)})},
        {"lost": "counted twice", "wrong_series": frozenset({(LEADS, "acme")})},
    ],
)
def test_an_unseen_loss_is_a_false_ok(loss: dict[str, Any]) -> None:
    truth = the_truth()
    for name, value in loss.items():
        setattr(truth, name, value)
    assert "false ok" in kinds(ended(), truth)
    if "lost_keys" in loss or "wrong_series" in loss:
        assert "false ok" in kinds(ended(FAILED), truth), "the row or the sum is ok"


def test_a_run_is_made_from_its_name_alone() -> None:
    assert [scenario(7, number) for number in range(60)] == [scenario(7, number) for number in range(60)]
    assert scenario(7, 3) != scenario(8, 3)


def test_the_runs_exercise_everything() -> None:
    """In 300 runs each disturbance, each journal and each loss occurs; a third has a loss; none is like another."""
    runs = [scenario(SEED, number) for number in range(300)]
    steps = {step.name for run in runs for step in (*run.during, *run.between)}
    assert steps == {*DISTURBANCES, "second_traffic"}
    assert {run.journal for run in runs} == {"sqlite", "postgres", "none"}
    assert sum(bool(run.loss) for run in runs) == 100
    assert len({run.loss for run in runs}) == 7
    assert len({str(run) for run in runs}) == 300


def test_garbage_is_events_and_no_events() -> None:
    """Both kinds are in it: what must be counted although it looks odd, and what must not."""
    are_events = Counter(isinstance(decode_one(value), Event) for value in GARBAGE)
    assert are_events[True] > 5
    assert are_events[False] > 15


def test_no_event_of_others_is_one_of_ours() -> None:
    for seed in range(50):
        for _, value in other_events(Random(seed), 20, highest_id=40):  # noqa: S311 - to be repeated
            body = json.loads(value or b"")
            assert body["tenant_id"] != "acme" or body["id"] > 40 + 15


def test_no_run_and_an_unexamined_run_prove_nothing() -> None:
    right = Outcome(scenario=scenario(SEED, 0), duration_s=1, exit_code=0)
    assert Figures([right]).is_good
    assert not Figures([]).is_good
    assert not Figures([right, Outcome(scenario=scenario(SEED, 1), duration_s=1, problem="no stack")]).is_good
    assert "false ok" in KINDS


def sample(journals: set[str], stacks: int) -> list[list[Scenario]]:
    """Return the runs of the first stacks with such a journal."""
    numbers = [number for number in range(60) if scenario(SEED, number * 5).journal in journals]
    return [[scenario(SEED, number * 5 + run) for run in range(5)] for number in numbers[:stacks]]


def outcomes_of(groups: list[list[Scenario]]) -> list[Outcome]:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        return [
            outcome for done in [pool.submit(run_stack, runs, None) for runs in groups] for outcome in done.result()
        ]


def shown(outcomes: list[Outcome]) -> str:
    return "\n".join(f"{one.scenario}: {one.problem} {list(map(str, one.defects))}" for one in outcomes)


@pytest.mark.stack
@pytest.mark.outside
@pytest.mark.timeout(900)
def test_a_sample_of_runs_is_judged_rightly(record_property: Callable[[str, object], None]) -> None:
    """Twenty of the 300: verify says ok where nothing was lost, and not where something was."""
    try:
        found_tools(print)
    except RunbookError as error:
        pytest.skip(f"no Prometheus: {error.seen}")

    outcomes = outcomes_of(sample({"sqlite", "none"}, 4))

    record_property("runs of verify", len(outcomes))
    assert len(outcomes) == 20
    assert Figures(outcomes).is_good, shown(outcomes)


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.outside
@pytest.mark.timeout(900)
def test_a_sample_of_runs_with_postgres_is_judged_rightly(record_property: Callable[[str, object], None]) -> None:
    """Ten more with the journal in PostgreSQL, whose sinks begin at 0."""
    try:
        found_programs(frozenset({"postgres"}), print)
    except RunbookError as error:
        pytest.skip(error.seen)

    outcomes = outcomes_of(sample({"postgres"}, 2))

    record_property("runs of verify with PostgreSQL", len(outcomes))
    assert len(outcomes) == 10
    assert Figures(outcomes).is_good, shown(outcomes)
