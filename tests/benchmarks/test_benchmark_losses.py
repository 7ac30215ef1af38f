"""The list of losses and decoys, how answers are scored, and a sample of both on real stacks."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.losses.broken import aggregator, answers, apexflow, changes, field_sink, page, sink, whole_pages
from benchmarks.losses.case import NAMES, Case, cases, digest, runs_of
from benchmarks.losses.events import GARBAGE
from benchmarks.losses.fixes import State, command_of
from benchmarks.losses.oracle import Difference, parsed
from benchmarks.losses.report import PAGE
from benchmarks.losses.running import run
from benchmarks.losses.score import Answer
from benchmarks.losses.verbs import VERBS
from runbook.local_stack.fakes.apexflow.store import Event

SAMPLE = (
    "outbox-drops-every-third-event",
    "sink-dedups-by-id-alone",
    "a-proxy-swaps-the-topics",
    "scraped-under-two-names",
)
QUIET_SAMPLE = ("one-lead-at-once", "thirty-leads", "others-in-this-moment")
OTHERS_SAMPLE = ("updates-of-our-leads", "extra-fields-of-others", "garbage-arrays-and-numbers")
LOSS = Case(name="loss", what="", do=(), boundary=("LOSS_KAFKA_SINK",), names=("Q_TRUE",), oracle="kafka-sink")
DECOY = Case(name="decoy", what="", do=())
KEY = ("leads", "acme")
FIVE = Difference(before=Counter({KEY: 9}), after=Counter({KEY: 4}), differ={KEY: frozenset({-5})})


def named(*names: str) -> list[Case]:
    by_name = {case.name: case for case in cases()}
    return [by_name[name] for name in names]


def answer(case: Case, outcome: str, code: str, saw: str = "") -> Answer:
    evidence = [{"source": "Kafka to sink, leads acme from 01:00:35 to 01:00:44 UTC", "saw": saw}]
    verdict: dict[str, Any] = {"outcome": outcome, "code": code, "evidence": evidence}
    return Answer(case=case, document={"verdict": verdict}, difference=FIVE)


@pytest.mark.parametrize("name", NAMES)
def test_a_list_is_as_large_as_it_must_be_and_sealed(name: str) -> None:
    """At least 40 injections and 60 decoys; the page has the hash of the list."""
    every = cases([name])
    assert sum(case.is_injection for case in every) >= 40
    assert sum(not case.is_injection for case in every) >= 60
    assert digest(name) in PAGE.read_text("utf-8")


def test_each_case_has_a_name_of_its_own() -> None:
    """Answers are kept by the names of their cases."""
    assert not [name for name, number in Counter(case.name for case in cases()).items() if number > 1]


def test_every_step_is_known() -> None:
    """A misspelt verb or variant would make a case void only after minutes."""
    steps = [step.split() for case in cases() for step in case.do]
    steps += [words[4:] for words in steps if words[0] == "amid"]
    assert {words[0] for words in steps} <= VERBS.keys()
    assert {words[1] for words in steps if words[0] == "apexflow"} <= apexflow.VARIANTS
    assert {words[1] for words in steps if words[0] == "sink"} <= sink.VARIANTS.keys()
    assert {words[3] for words in steps if words[0] == "replica" and words[3:]} <= sink.VARIANTS.keys()
    assert {words[1] for words in steps if words[0] == "field-sink"} <= field_sink.TIMES.keys()
    assert {words[1] for words in steps if words[0] == "page"} <= page.VARIANTS.keys()
    assert {words[1] for words in steps if words[0] == "aggregator"} <= aggregator.HOWS.keys()
    assert {words[1] for words in steps if words[0] == "answers"} <= answers.VARIANTS.keys()
    assert {words[1] for words in steps if words[0] == "garbage"} <= GARBAGE.keys()


def test_only_decoys_share_a_stack() -> None:
    """What an injection leaves behind must not meet the next case."""
    assert not [case.name for case in cases() if case.is_injection and case.group]
    assert len(cases()) == sum(map(len, runs_of(cases())))


@pytest.mark.parametrize(
    ("outcome", "code", "saw", "score"),
    [
        ("fault", "LOSS_KAFKA_SINK", "9 in, 4 out", "right"),
        ("fault", "LOSS_KAFKA_SINK", "9 in, 5 out", "wrong integer"),
        ("fault", "LOSS_API_KAFKA", "9 in, 4 out", "wrong boundary"),
        ("fault", "Q_DOWN", "", "wrong name"),
        ("fault", "Q_TRUE", "", "right"),
        ("healthy", "", "", "healthy"),
        ("inconclusive", "LOSS_KAFKA_SINK", "9 in, 4 out", "inconclusive"),
    ],
)
def test_an_injection_is_right_by_boundary_and_integer(outcome: str, code: str, saw: str, score: str) -> None:
    assert score == answer(LOSS, outcome, code, saw).score


@pytest.mark.parametrize(
    ("rows", "numbers", "score"),
    [
        (("5 in, 5 out", "0 in, 2 out"), {2}, "right"),
        (("5 in, 1 out", "0 in, 4 out"), {-4, 4}, "right"),
        (("5 in, 1 out", "0 in, 3 out"), {-4, 4}, "wrong integer"),
        (("5 in, 5 out", "0 in, 0 out"), {0, 3}, "wrong integer"),
    ],
)
def test_what_came_again_is_a_row_of_its_own(rows: tuple[str, str], numbers: set[int], score: str) -> None:
    """Its sum or each of its rows is true; and a verdict that tells no difference at all has found none."""
    found = answer(LOSS, "fault", "LOSS_KAFKA_SINK")
    sources = (
        "API to Kafka, leads acme from 01:00:35 to 01:00:44 UTC",
        "API to Kafka, leads acme, again from 01:00:35",
    )
    evidence = [{"source": source, "saw": saw} for source, saw in zip(sources, rows, strict=True)]
    counted = replace(FIVE, differ={KEY: frozenset(numbers)})
    verdict = {**found.verdict, "evidence": evidence}
    assert score == replace(found, document={"verdict": verdict}, difference=counted).score


@pytest.mark.parametrize(
    ("fix", "command"),
    [
        ("tail -n 50 apexflow.log: its lines since 01:00:35 UTC", "tail -n 50 apexflow.log"),
        ("./inv traffic --target local: the panels show the next events", "./inv traffic --target local"),
        ("add the job crm-events-sink to prometheus.yml, then curl -X POST http://127.0.0.1:1/-/reload", ""),
        ("", ""),
    ],
)
def test_the_command_of_a_fix_is_what_it_begins_with(fix: str, command: str) -> None:
    assert command == command_of(fix)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"running": frozenset({"kafka"})}, ["crm-events-sink has ended"]),
        ({"messages": Counter({"leads": 3})}, ["2 messages of leads are gone"]),
        ({"files": {"prometheus.yml": "b"}}, ["prometheus.yml has changed"]),
        ({"messages": Counter({"leads": 9})}, []),
    ],
)
def test_a_fix_that_takes_something_away_is_worse(change: dict[str, Any], told: list[str]) -> None:
    before = State(
        running=frozenset({"kafka", "crm-events-sink"}),
        messages=Counter({"leads": 5}),
        files={"prometheus.yml": "a"},
    )
    assert told == before.lost_in(replace(before, **change))


@pytest.mark.parametrize(
    ("outcome", "code", "score"),
    [
        ("healthy", "", "quiet"),
        ("healthy", "A_IDLE", "quiet"),
        ("fault", "LOSS_KAFKA_SINK", "named"),
        ("inconclusive", "", "inconclusive"),
    ],
)
def test_a_decoy_is_right_when_nothing_is_named(outcome: str, code: str, score: str) -> None:
    assert score == answer(DECOY, outcome, code).score


@pytest.mark.parametrize("kind", ["null", "empty", "not-json", "no-tenant", "nested", "binary"])
def test_the_oracle_takes_no_garbage_for_an_event(kind: str) -> None:
    assert not [number for number in range(6) if parsed(GARBAGE[kind]("apexflow.leads.created", number))]


COUNTER = "crm_events_ingested_total"
TWO_TENANTS = [
    f"# TYPE {COUNTER} counter",
    f'{COUNTER}{{tenant_id="acme",topic="leads"}} 5',
    f'{COUNTER}{{tenant_id="globex",topic="leads"}} 2',
    "crm_events_tenants 2",
]


def test_a_whole_page_is_changed_in_its_counters_only() -> None:
    """Sums and growth are of the counter; what stands around it stays where it was."""
    first, *_, last = TWO_TENANTS
    summed = [first, f'{COUNTER}{{tenant_id="all",topic="leads"}} 7', last]
    assert summed == whole_pages.VARIANTS["adds-tenants-up"]()(TWO_TENANTS)
    since = whole_pages.VARIANTS["what-came-since"]()
    assert since(TWO_TENANTS) == TWO_TENANTS
    assert [first, *(line[:-1] + "0" for line in TWO_TENANTS[1:3]), last] == since(TWO_TENANTS)


@pytest.mark.parametrize(
    ("variant", "words", "moments"),
    [("steps", ["30"], [0, 30, 60]), ("cuts", ["0"], [0, 15, 30, 45, 60]), ("stopped", [], [0, 15, 30, 45, 60])],
)
def test_answers_keep_the_points_of_some_moments(variant: str, words: list[str], moments: list[int]) -> None:
    series = [{"metric": {}, "values": [(moment, "1") for moment in range(0, 75, 15)]}]
    [kept] = answers.VARIANTS[variant](*words)(series)
    assert moments == [moment for moment, _ in kept["values"]]


def test_a_series_without_a_point_that_is_kept_is_left_out() -> None:
    """Prometheus itself answers no series that is empty."""
    assert not answers.VARIANTS["steps"]("30")([{"metric": {}, "values": [(7, "1")]}])


def test_a_page_that_is_written_otherwise_says_the_same() -> None:
    """The order of labels, spaces and lines that come twice change no value."""
    _, acme, globex, _ = TWO_TENANTS
    assert acme.replace('tenant_id="acme",topic="leads"', 'topic="leads",tenant_id="acme"') in _page_of("topic-first")
    assert acme.replace('tenant_id="acme",topic="leads"', ' tenant_id="acme" , topic="leads" ') in _page_of("roomy")
    assert [acme, acme, globex, globex] == [line for line in _page_of("twice") if line.startswith(f"{COUNTER}{{")]


def _page_of(variant: str) -> list[str]:
    return whole_pages.VARIANTS[variant]()(TWO_TENANTS)


def test_a_page_that_has_learned_its_series_serves_no_new_one() -> None:
    learned = whole_pages.VARIANTS["learned"]()
    before = [line for line in TWO_TENANTS if "globex" not in line]
    assert before == learned(before)
    assert before == learned(TWO_TENANTS)


def test_stairs_keep_the_moments_and_the_first_value_of_each_span() -> None:
    series = [{"metric": {}, "values": [(moment, str(moment)) for moment in range(0, 75, 15)]}]
    [changed] = answers.VARIANTS["stairs"]("30")(series)
    assert changed["values"] == [(0, "0"), (15, "0"), (30, "30"), (45, "30"), (60, "60")]


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (1, {"id": 1, "tenant_id": "acme"}),
        (2, {"id": 1, "tenant_id": "acme"}),
        (3, {"id": 2, "tenant_id": "acme"}),
    ],
)
def test_an_outbox_that_is_one_behind_doubles_the_first_event_and_loses_the_last(
    event: int, sent: dict[str, Any]
) -> None:
    change = changes.CHANGES["one-behind"]()
    events = [
        Event(row=number, topic="leads", key="", value={"id": number, "tenant_id": "acme"}) for number in range(1, 4)
    ]
    assert sent == [change(one.row, one)[0].value for one in events][event - 1]


def test_an_id_with_an_exponent_is_the_same_number() -> None:
    """The id of the job's lead stays as it is."""
    event = Event(row=1, topic="jobs", key="", value={"id": 17, "tenant_id": "acme", "lead_id": 17})
    text = changes.CHANGES["ids-with-an-exponent"]()(1, event)[0].value.text  # type: ignore[attr-defined]  # a Raw
    assert text == b'{"id": 1.700000e+01, "tenant_id": "acme", "lead_id": 17}'


def test_escapes_and_spaces_leave_an_event_what_it_is() -> None:
    for kind in ("escapes", "spaces"):
        event = parsed(GARBAGE[kind]("apexflow.leads.created", 1))
        assert event is not None
        assert event["tenant_id"] == "acme"


@pytest.mark.stack
@pytest.mark.parametrize("name", SAMPLE)
def test_a_loss_is_found_at_its_boundary_with_its_integer(name: str) -> None:
    [found] = run(named(name), parallel=1, says=lambda _: None)
    assert (found.score, found.void) == ("right", ""), found.text


@pytest.mark.stack
@pytest.mark.timeout(600)
@pytest.mark.parametrize("names", [QUIET_SAMPLE, OTHERS_SAMPLE], ids=["quiet", "others"])
def test_a_healthy_system_is_not_called_guilty(names: tuple[str, ...]) -> None:
    found = run(named(*names), parallel=1, says=lambda _: None)
    assert not [(one.case.name, one.score, one.text, one.void) for one in found if one.score != "quiet"]


def test_a_kept_answer_is_scored_again_as_it_was() -> None:
    before = answer(LOSS, "fault", "LOSS_KAFKA_SINK", "9 in, 4 out")
    assert before == Answer.of(before.line(), {LOSS.name: LOSS})
