"""The graph of claims: one diagnosis per chain, never an ok that nobody saw, the same verdict every time."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.diagnosis import engine
from runbook.diagnosis.check import Broken, Check, Finding, GraphError, NotChecked, Ok, Telling, broken
from runbook.diagnosis.engine import Blocked, Examined, Graph, _inherited
from runbook.diagnosis.verdict import verdict
from runbook.errors import UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence

SEEN = Evidence(source="GET /", saw="200")
OK = Ok((SEEN,))
BROKEN = broken(SEEN)
UNSEEN = NotChecked("nobody could look", fix="look later")
KINDS: dict[str, Finding] = {"ok": OK, "broken": BROKEN, "not_checked": UNSEEN}

World = Mapping[str, Finding]


def check(
    code: str,
    *needs: str,
    unless: tuple[str, ...] = (),
    run: Callable[[World], Finding] | None = None,
    hop: str = "",
    told: Telling = "in_flow",
    fix: str = "correct it",
) -> Check[World]:
    """Return a check at a hop of its own, so that the flow is the order of the codes."""
    return Check(
        code=code,
        hop=hop or code,
        claim=f"{code} holds",
        diagnosis=f"{code} is broken",
        sign="told by the test",
        fix=fix,
        needs=needs,
        unless=unless,
        told=told,
        run=run or (lambda world: world[code]),
    )


def graph(checks: Sequence[Check[World]], hops: Sequence[str] | None = None) -> Graph[World]:
    return Graph(checks, hops=hops or sorted({one.hop for one in checks}))


def examined(checks: Sequence[Check[World]], world: World, deadline_s: float = 30.0) -> dict[str, Examined[World]]:
    return {one.check.code: one for one in graph(checks).examine(world, deadline_s=deadline_s)}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Check[World]], World]:
    """A random graph without circles, its checks in random order, and what each would find."""
    codes = [f"C{number:02}" for number in range(draw(st.integers(1, 9)))]
    needs = [draw(st.lists(st.sampled_from(codes[:i]), unique=True)) if i else [] for i in range(len(codes))]
    soft = [draw(st.lists(st.sampled_from(need), unique=True)) if need else [] for need in needs]
    drawn = [
        check(code, *sorted(set(need) - set(weak)), unless=tuple(weak))
        for code, need, weak in zip(codes, needs, soft, strict=True)
    ]
    checks = draw(st.permutations(drawn))
    return checks, {code: KINDS[draw(st.sampled_from(sorted(KINDS)))] for code in codes}


def ancestors(checks: Sequence[Check[World]], code: str) -> set[str]:
    """Return what it needs, what that needs and so on, and what explains one of these."""
    by_code = {one.code: one for one in checks}
    found: set[str] = set()
    queue = [code]
    while queue:
        one = by_code[queue.pop()]
        found |= {*one.needs, *one.unless}
        queue.extend(one.needs)
    return found


def broken_laws(checks: Sequence[Check[World]], world: World) -> list[str]:
    """Return the laws of the engine that this graph breaks; none is right."""
    found = examined(checks, world)
    broken = {code for code, one in found.items() if isinstance(one.settled, Broken)}
    laws: list[str] = []
    for code, one in found.items():
        above = ancestors(checks, code)
        if code in broken and above & broken:
            laws.append("two diagnoses on one chain")
        if above & broken and not (isinstance(one.settled, Blocked) and one.settled.by in above & broken):
            laws.append("what needs a broken one is blocked by it")
        if isinstance(one.settled, Ok) and any(not isinstance(found[need].settled, Ok) for need in one.check.needs):
            laws.append("ok only where every need is ok")
        unseen_reason = any(isinstance(found[need].settled, NotChecked) for need in one.check.needs)
        if isinstance(one.settled, NotChecked) and not unseen_reason and one.settled != world[code]:
            laws.append("what would only explain it keeps nobody from looking")
        if isinstance(one.settled, Ok | Broken) and one.settled != world[code]:
            laws.append("a finding is what the check found")
    judged, also = verdict(tuple(found.values()))
    if {one.code for one in (judged, *also)} - {""} != broken:
        laws.append("every broken check is named, and nothing else")
    if broken and judged.code != min(broken):
        laws.append("the first broken one along the flow is the fault")
    if judged.outcome == "healthy" and any(not isinstance(one.settled, Ok) for one in found.values()):
        laws.append("healthy only if all was seen")
    return laws


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_graph_keeps_the_laws(drawn: tuple[list[Check[World]], World]) -> None:
    """One diagnosis per chain; not checked is never ok; the first broken claim is the fault."""
    checks, world = drawn
    assert broken_laws(checks, world) == []


@settings(max_examples=60, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_any_order(drawn: tuple[list[Check[World]], World], random: Random) -> None:
    """Shuffled checks and shuffled results give the same results and the same verdict."""
    checks, world = drawn
    first = graph(checks).examine(world, deadline_s=30.0)
    shuffled = list(checks)
    random.shuffle(shuffled)
    second = list(graph(shuffled).examine(world, deadline_s=30.0))
    assert [one.result for one in first] == [one.result for one in second]
    random.shuffle(second)
    assert verdict(first) == verdict(second)


CHAIN = [check("A"), check("B", "A"), check("C", "B"), check("D", unless=("A",))]


@pytest.mark.parametrize(
    ("defect", "world"),
    [
        pytest.param(("_inherited", lambda *_: None), {"A": BROKEN, "B": BROKEN, "C": OK, "D": OK}, id="needs ignored"),
        pytest.param(
            ("_inherited", lambda _, needs: next((Blocked(n.code) for n, s in needs if isinstance(s, Broken)), None)),
            {"A": BROKEN, "B": OK, "C": OK, "D": OK},
            id="blocked one blocks nobody",
        ),
        pytest.param(
            (
                "_inherited",
                lambda _, needs: next((Blocked(n.code) for n, s in needs if isinstance(s, Broken | Blocked)), None),
            ),
            {"A": UNSEEN, "B": OK, "C": OK, "D": OK},
            id="not checked counts as ok",
        ),
        pytest.param(
            ("_inherited", lambda check, needs: _inherited(replace(check, unless=()), needs)),
            {"A": UNSEEN, "B": OK, "C": OK, "D": OK},
            id="an explanation is a need",
        ),
        pytest.param(("_found", lambda _: OK), {"A": UNSEEN, "B": OK, "C": OK, "D": OK}, id="everything is ok"),
    ],
)
def test_a_defective_engine_breaks_a_law(
    defect: tuple[str, Callable[..., object]], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laws above are able to fail: each of these defects breaks one."""
    assert broken_laws(CHAIN, world) == []
    monkeypatch.setattr(engine, *defect)
    assert broken_laws(CHAIN, world) != []


def test_a_check_that_raises_is_not_checked() -> None:
    """An error of the project or a defect of the check is evidence of not knowing, never a diagnosis."""

    def refused(_: World) -> Finding:
        raise UnreachableError("refused", where="GET http://a/", fix="start it", reason="refused")

    def defective(_: World) -> Finding:
        raise KeyError("labels")

    found = examined([check("A", run=refused), check("B", run=defective)], {})
    assert found["A"].result.status == "not_checked"
    assert found["A"].result.evidence == (Evidence(source="GET http://a/", saw="refused"),)
    assert found["B"].result.status == "not_checked"
    assert "KeyError" in found["B"].result.evidence[0].saw
    judged, _ = verdict(tuple(found.values()))
    assert (judged.outcome, judged.fix) == ("inconclusive", "start it")


def test_a_check_that_hangs_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the deadline what hangs is not checked; what answered keeps its answer.

    The clock stands still until the first answer, and then the deadline is over.
    """
    never = threading.Event()
    times = iter([0.0, 0.0])
    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: next(times, 60.0)))

    def hangs(_: World) -> Finding:
        never.wait(timeout=30)
        return OK

    try:
        found = examined([check("A", run=hangs), check("B"), check("C", "A")], {"B": BROKEN}, deadline_s=30)
    finally:
        never.set()
    assert {code: one.result.status for code, one in found.items()} == {
        "A": "not_checked",
        "B": "broken",
        "C": "not_checked",
    }


def test_independent_checks_run_side_by_side() -> None:
    """Two checks that wait for each other both answer."""
    both = threading.Barrier(2, timeout=20)

    def meets(_: World) -> Finding:
        both.wait()
        return OK

    found = examined([check("A", run=meets), check("B", run=meets)], {})
    assert {one.result.status for one in found.values()} == {"ok"}


def test_a_code_at_two_hops_is_needed_by_hop() -> None:
    """Where a code stands at several hops, a need says which."""
    checks = [
        check("CTR", hop="sink", run=lambda _: BROKEN),
        check("CTR", hop="apexflow", run=lambda _: OK),
        check("PAGE", "sink.CTR", hop="sink", run=lambda _: OK),
        check("ROUTE", "apexflow.CTR", hop="apexflow", run=lambda _: OK),
    ]
    found = {(one.check.hop, one.check.code): one for one in graph(checks).examine({}, deadline_s=30.0)}
    assert found["sink", "PAGE"].settled == Blocked("CTR")
    assert found["apexflow", "ROUTE"].settled == OK


def test_one_hop_brings_what_it_needs_and_nothing_else() -> None:
    """`--hop` runs that hop's checks with their needs, in the order of the flow."""
    checks = [check("A", hop="a"), check("B", "A", hop="b"), check("C", hop="c"), check("D", "B", hop="d")]
    assert [one.code for one in graph(checks).only("d").checks] == ["A", "B", "D"]


def test_an_explanation_leaves_it_healthy() -> None:
    """An ok that explains an idle pipeline gives the healthy verdict its code; a broken claim outranks it."""
    idle: World = {"A": OK, "B": Ok((SEEN,), explains=True)}
    judged, also = verdict(graph([check("A"), check("B")]).examine(idle, deadline_s=30.0))
    assert (judged.outcome, judged.code, judged.claim, also) == ("healthy", "B", "B is broken", ())
    judged, _ = verdict(graph([check("A"), check("B")]).examine({**idle, "A": BROKEN}, deadline_s=30.0))
    assert (judged.outcome, judged.code) == ("fault", "A")


def test_nothing_examined_is_not_healthy() -> None:
    """No check, no proof."""
    assert verdict(())[0].outcome == "inconclusive"


@pytest.mark.parametrize(
    ("checks", "hops", "said"),
    [
        pytest.param([check("A"), check("A")], ["A"], "two checks", id="duplicate"),
        pytest.param([check("A", "X")], ["A"], "unknown", id="unknown need"),
        pytest.param([check("A", "B"), check("B", "A")], ["A", "B"], "circle", id="cycle"),
        pytest.param([check("A")], ["B"], "no hop of the flow", id="outside the flow"),
        pytest.param(
            [check("A", hop="a"), check("A", hop="b"), check("B", "A", hop="c")],
            ["a", "b", "c"],
            "ambiguous",
            id="ambiguous",
        ),
    ],
)
def test_a_wrong_graph_is_refused(checks: list[Check[World]], hops: list[str], said: str) -> None:
    """A graph that cannot be walked is an error when it is built, not at three in the morning."""
    with pytest.raises(GraphError, match=said):
        graph(checks, hops)


def test_faults_are_told_hop_by_hop_and_within_one_as_written() -> None:
    """The order is that of the flow; a container's own word comes after it, and what is no outage comes last."""
    checks = [
        check("DUPLICATE", hop="gateway", told="last"),
        check("UNHEALTHY", hop="sink", told="after_flow"),
        check("PAGE", hop="sink"),
        check("ZOMBIE", hop="sink"),
        check("ROUTE", hop="gateway"),
    ]

    ordered = graph(checks, hops=["gateway", "sink"])

    assert [one.code for one in ordered.checks] == ["ROUTE", "PAGE", "ZOMBIE", "UNHEALTHY", "DUPLICATE"]
    judged, also = verdict(ordered.examine({one.code: BROKEN for one in checks}, deadline_s=30.0))
    assert [judged.code, *(one.code for one in also)] == ["ROUTE", "PAGE", "ZOMBIE", "UNHEALTHY", "DUPLICATE"]


def test_the_words_of_a_fault_are_filled_in_with_what_was_seen() -> None:
    """Fields of the finding, and commands of this tool as they are typed here."""
    found = check("A", run=lambda _: broken(SEEN, name="sink", id="17"), fix="{inv:unsilence --silence {id}}: {name}")

    judged, _ = verdict(graph([found]).examine({}, deadline_s=30.0))

    assert judged.fix == f"{inv('unsilence --silence 17')}: sink"


def test_a_field_that_nobody_fills_in_is_no_diagnosis() -> None:
    """A defect of the check is a reason not to know; it neither ends the command nor shows a brace."""
    found = examined([check("A", run=lambda _: BROKEN, fix="start {name}")], {})

    assert found["A"].result.status == "not_checked"
    assert "KeyError: 'name'" in found["A"].result.evidence[0].saw


def test_a_finding_needs_evidence() -> None:
    """Neither ok nor broken can be said without something seen."""
    with pytest.raises(GraphError, match="needs evidence"):
        Ok(())
    with pytest.raises(GraphError, match="needs evidence"):
        broken()
