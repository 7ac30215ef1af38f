"""The small parts of the losses' benchmark that change curves, pages and events."""

from typing import Any

import pytest

from benchmarks.losses.broken import aggregator, changes, curves, whole_pages
from benchmarks.losses.broken.field_sink import OneASecond
from benchmarks.losses.events import GARBAGE
from benchmarks.losses.oracle import parsed
from runbook.local_stack.fakes.apexflow.store import Event

COUNTER = "crm_events_ingested_total"
TOPIC = "apexflow.leads.created"


def page_of(leads: int) -> list[str]:
    return [
        f"# TYPE {COUNTER} counter",
        f'{COUNTER}{{tenant_id="acme",topic="leads"}} {leads}',
        f'crm_events_next_offset{{topic="leads",partition="{leads % 4}"}} {leads}',
    ]


@pytest.mark.parametrize(
    ("variant", "words", "values"),
    [
        ("flat", [], ["0.0375", "0.0375"]),
        ("smooths", ["2"], ["0.0125", "0.025"]),
        ("significant", ["2"], ["0.013", "0.037"]),
        ("truncates", ["3"], ["0.012", "0.037"]),
        ("fractions", [], ["0.0125", "0.0375"]),
    ],
)
def test_a_curve_keeps_its_moments(variant: str, words: list[str], values: list[str]) -> None:
    series: list[dict[str, Any]] = [{"metric": {}, "values": [[15, "0.0125"], [30, "0.0375"]]}]
    [changed] = curves.VARIANTS[variant](*words)(series)
    assert [[15, values[0]], [30, values[1]]] == changed["values"]


def test_an_aggregator_adds_counters_and_keeps_all_positions() -> None:
    """Or it takes the larger one, which is too little."""
    pages = ["\n".join(page_of(5)), "\n".join(page_of(2))]
    positions = {line for leads in (5, 2) for line in page_of(leads)[2:]}
    assert {page_of(7)[1], *positions} == set(aggregator.added(pages, "sum").splitlines())
    assert {page_of(5)[1], *positions} == set(aggregator.added(pages, "max").splitlines())


def test_a_page_holds_the_first_value_of_what_has_the_mark() -> None:
    held, other = whole_pages.VARIANTS["holds"]("leads"), whole_pages.VARIANTS["holds"]("jobs")
    assert page_of(5)[1] == held(page_of(5))[1] == held(page_of(7))[1]
    assert page_of(5)[1] == other(page_of(5))[1]
    assert page_of(7)[1] == other(page_of(7))[1]


def sent(variant: str, *words: str) -> list[Any]:
    """Return what the oracle reads of two events that are sent with this change."""
    change = changes.CHANGES[variant](*words)
    value = {"tenant_id": "acme", "event_type": "lead.created"}
    events = [Event(row=n, topic=TOPIC, key="", value={"id": n, **value}) for n in (1, 2)]
    values = [one.value for event in events for one in change(event.row, event)]
    texts = [
        one.text if isinstance(one, changes.Raw) else changes.json_of(Event(row=1, topic="", key="", value=one))
        for one in values
    ]
    return [event and (event["id"], event["tenant_id"]) for event in map(parsed, texts)]


@pytest.mark.parametrize("variant", ["ids-with-a-point", "note-twice", "with-another-inside", "with-names-in-capitals"])
def test_an_event_that_is_written_otherwise_is_the_same(variant: str) -> None:
    as_it_was = [(1, "acme"), (2, "acme")]
    assert as_it_was == sent(variant)


@pytest.mark.parametrize(
    ("words", "events"),
    [
        (["holds-one-back"], [(1, "acme")]),
        (["tenant-twice", "globex"], [(1, "globex"), (2, "globex")]),
        (["ids-as-text"], [("1", "acme"), ("2", "acme")]),
        (["single-quotes"], [None, None]),
    ],
)
def test_an_event_that_is_changed_is_another_or_none(words: list[str], events: list[Any]) -> None:
    assert events == sent(*words)


def test_names_with_escapes_are_the_names() -> None:
    event = parsed(GARBAGE["escaped-names"](TOPIC, 1))
    assert event is not None
    assert event["tenant_id"] == "acme"
    assert not [
        kind for kind in ("two-lines", "names-in-capitals", "inside-another") if parsed(GARBAGE[kind](TOPIC, 1))
    ]


def test_a_sample_of_each_second_is_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([5.1, 5.2, 5.9, 6.0])
    monkeypatch.setattr("benchmarks.losses.broken.field_sink.time.monotonic", lambda: next(moments))
    times, first_of_each = OneASecond(), [1, 0, 0, 1]
    assert first_of_each == [times(number, 1) for number in range(4)]
