"""Two Prometheus servers of a pair scrape one counter at other moments; what is no pair is not taken for one."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.conservation.pair import COUNTED, SCRAPED, asked_values, is_another, pair_flows, shown_values
from runbook.systems.grafana.client import Frame
from runbook.systems.prometheus.records import Series

AT = datetime(2025, 11, 3, 20, tzinfo=UTC)
LABELS = {"topic": "leads", "tenant_id": "acme"}
INTERVAL_S, STEP_S, WINDOW_S = 10, 15, 300
UNTIL = AT + timedelta(seconds=WINDOW_S - 2 * INTERVAL_S)

Values = Mapping[float, float]
Answers = dict[str, Values]


def answers(events: list[float], phase_s: float, *, since_s: float = 0.0, gap: Collection[int] = ()) -> Answers:
    """Return what a server answers at each step that scrapes at this phase, but in no gap: by query, by second."""
    every = [phase_s + INTERVAL_S * number for number in range(WINDOW_S // INTERVAL_S)]
    every = [at for at in every if int(at) not in gap]

    def newest(scrapes: list[float]) -> Values:
        found = {at: [one for one in scrapes if one <= at][-1:] for at in range(0, WINDOW_S + 1, STEP_S)}
        return {float(at): one for at, ones in found.items() for one in ones}

    def times(of: Values) -> Values:
        return {at: (AT + timedelta(seconds=one)).timestamp() for at, one in of.items()}

    held = newest([at for at in every if at >= since_s])
    counted = {at: float(sum(e <= one for e in events)) for at, one in held.items()}
    return {SCRAPED: times(held), COUNTED: counted}


def differs(mine: Answers, theirs: Answers) -> bool:
    """Whether something is lost between the two, as the boundary judges it."""

    def points(values: Values) -> tuple[tuple[datetime, float], ...]:
        return tuple((AT + timedelta(seconds=at), value) for at, value in values.items())

    asked = {name: asked_values([Series(labels=LABELS, samples=points(of))]) for name, of in mine.items()}
    shown = {
        name: shown_values(
            [
                Frame(
                    ref_id=name,
                    name="",
                    labels=LABELS,
                    times=tuple(at for at, _ in points(of)),
                    values=tuple(value for _, value in points(of)),
                )
            ]
        )
        for name, of in theirs.items()
    }
    if not is_another(asked[SCRAPED], shown[SCRAPED], until=UNTIL):
        raise AssertionError("the servers have the same scrapes")
    flows = pair_flows(asked, shown, interval=timedelta(seconds=INTERVAL_S), until=UNTIL)
    return any(flow.difference for flow in flows)


PHASES = st.integers(0, INTERVAL_S * 1000 - 1).map(lambda ms: ms / 1000)
EVENTS = st.lists(st.floats(0, WINDOW_S), max_size=60)


@given(mine=PHASES, theirs=PHASES, events=EVENTS, since_s=st.floats(0, 200))
def test_the_counters_of_a_pair_agree(mine: float, theirs: float, events: list[float], since_s: float) -> None:
    """Whenever the series began, and however busy it is."""
    if mine != theirs:
        assert not differs(answers(events, mine, since_s=since_s), answers(events, theirs, since_s=since_s))


DISTORTED: dict[str, Callable[[Answers], Answers]] = {
    "twice the numbers": lambda of: {name: {at: 2 * value for at, value in each.items()} for name, each in of.items()},
    "a tenth more events": lambda of: of | {COUNTED: {at: 1.1 * value for at, value in of[COUNTED].items()}},
    "a minute late": lambda of: {
        name: {at + 60: value for at, value in each.items() if at + 60 <= WINDOW_S} for name, each in of.items()
    },
    "nothing of the counter": lambda of: of | {COUNTED: {}},
    "nothing of the newest two minutes": lambda of: {
        name: {at: value for at, value in each.items() if at < WINDOW_S - 120} for name, each in of.items()
    },
    "every other point": lambda of: {
        name: {at: value for at, value in each.items() if at % (2 * STEP_S) == 0} for name, each in of.items()
    },
}


@pytest.mark.parametrize("distorted", DISTORTED.values(), ids=DISTORTED)
def test_what_is_distorted_is_no_pair(distorted: Callable[[Answers], Answers]) -> None:
    events = [float(second) for second in range(0, WINDOW_S, 3)]
    assert differs(answers(events, 2.0), distorted(answers(events, 7.0)))


def test_one_server_is_no_pair() -> None:
    """A scrape that came between two questions changes the newest points only."""

    def asked(*, newest: float) -> Mapping[tuple[str, str], Mapping[int, float]]:
        times = [AT, UNTIL, UNTIL + timedelta(seconds=STEP_S)]
        return asked_values([Series(labels={}, samples=tuple(zip(times, (1.0, 2.0, newest), strict=True)))])

    assert asked(newest=3.0) != asked(newest=4.0)
    assert not is_another(asked(newest=3.0), asked(newest=4.0), until=UNTIL)
    assert not is_another(asked(newest=3.0), {}, until=UNTIL)


def test_rounded_times_are_no_other_scrapes() -> None:
    """Somebody between the two rounds what he hands on: it is one server, and its rates must be the same."""
    mine = {("", ""): {0: 1762199331.123, 15_000: 1762199346.123}}
    rounded = {key: {at: round(value, 2) for at, value in points.items()} for key, points in mine.items()}
    assert not is_another(mine, rounded, until=UNTIL)


def test_two_servers_of_one_host_may_scrape_at_once() -> None:
    """The series began a scrape later in one of them."""
    mine = {("leads", "acme"): {0: 1762199331.123, 15_000: 1762199346.123}}
    theirs = {("leads", "acme"): {15_000: 1762199346.123}}
    assert is_another(mine, theirs, until=UNTIL)
    assert not is_another(mine, mine, until=UNTIL)


def test_a_gap_of_either_server_takes_nothing_away() -> None:
    """One of them was restarted: its newest scrape was old for a while, and holds the counter of then."""
    events = [float(second) for second in range(0, WINDOW_S, 3)]
    gap = range(120, 160)
    whole, broken = answers(events, 2.0), answers(events, 7.0, gap=gap)
    assert broken != answers(events, 7.0)
    assert not differs(whole, broken)
    assert not differs(broken, whole)
