"""The sink's benchmark believes no figure whose count is not proven."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.measuring.broker import broker
from benchmarks.measuring.contestants import BASELINE, PLAIN_LOOP, SINK_ROWS, Row
from benchmarks.measuring.figures import Figure
from benchmarks.measuring.load import LEADS, TOPICS, Load, LoadError, event, partitions_for, produced, prove
from benchmarks.measuring.model import Judgement, Sample, Target, pace
from benchmarks.measuring.piped import PipedRow
from benchmarks.measuring.postgres import SERVER
from benchmarks.measuring.sink_row import SinkRow
from benchmarks.measuring.tables import WIDTH, throughput_table
from benchmarks.measuring.throughput import Standing, race
from benchmarks.sink import Results, main

EVENTS = 4_000
SINK = SINK_ROWS[0]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """A broker with a few thousand events."""
    with broker(tmp_path_factory.mktemp("broker"), dict.fromkeys(TOPICS, partitions_for(EVENTS))) as bootstrap:
        yield produced(bootstrap, events=EVENTS, tenants=7)


def standings(load: Load, folder: Path, *rows: Row) -> list[Standing]:
    return race(rows, load, rounds=1, folder=folder, says=lambda _: None)


def shown(seen: list[Standing]) -> str:
    console = Console(width=WIDTH)
    with console.capture() as capture:
        console.print(throughput_table(seen))
    return capture.get()


def bytes_written(count: int, name: str = "bytes") -> PipedRow:
    """A contestant that claims so many events."""
    return PipedRow(name=name, command=lambda _: (sys.executable, "-c", f"print('.' * {count}, end='')"))


def test_sink_and_plain_loop_count_exactly(load: Load, tmp_path: Path) -> None:
    """Both read every event once, tenant by tenant and topic by topic; the sink's offsets are the log's ends."""
    seen = standings(load, tmp_path, SINK, PLAIN_LOOP)
    assert [row.failure for row in seen] == ["", ""]
    assert [len(row.outcomes) for row in seen] == [1, 1]
    assert Results(standings=[replace(row, target=None) for row in seen]).exit_code() == 0


def test_a_wrong_count_fails(load: Load, tmp_path: Path) -> None:
    """One event more in the ledger than in the log: both rows are FAILED, and so is the benchmark."""
    wrong = replace(load, ledger={**load.ledger, ("t0000001", LEADS): load.ledger["t0000001", LEADS] + 1})
    seen = standings(wrong, tmp_path, SINK, PLAIN_LOOP)
    assert {row.failure for row in seen} == {"1 events missing, 0 too many, in 1 of 14 series"}
    assert shown(seen).count("FAILED") == 2
    assert Results(standings=seen).exit_code() == 1


@pytest.mark.parametrize(("written", "failure"), [(EVENTS, ""), (EVENTS - 1, "-1 events"), (EVENTS + 1, "+1 events")])
def test_programs_that_write_bytes_are_counted(load: Load, tmp_path: Path, written: int, failure: str) -> None:
    """A byte too few or too many is an event too few or too many."""
    assert [row.failure for row in standings(load, tmp_path, bytes_written(written))] == [failure]


def test_a_row_that_cannot_run_says_why(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no figures, neither passes nor fails, and stands in the table with its reason."""
    refused = SinkRow(name="refused", env={"SINK_LOG_EVENTS": "sometimes"})
    monkeypatch.delenv(SERVER, raising=False)
    lacking = SinkRow(name="lacking", postgres=True)
    seen = standings(load, tmp_path, refused, lacking)
    assert [list(row.outcomes) for row in seen] == [[], []]
    assert "SINK_LOG_EVENTS is 'sometimes'" in seen[0].not_available
    assert seen[1].not_available == f"{SERVER} is not set"
    assert shown(seen).count("not available") == 2


def test_a_wrong_count_has_no_ratio(load: Load, tmp_path: Path) -> None:
    """What was not counted right is not compared."""
    seen = standings(load, tmp_path, bytes_written(EVENTS - 1, BASELINE.name), bytes_written(EVENTS))
    assert [row.ratio for row in seen] == [None, None]


def test_missing_events_are_noticed_before_measuring(load: Load) -> None:
    """The broker is asked for both ends of every partition."""
    with pytest.raises(LoadError, match="holds offsets"):
        prove(load.bootstrap, {place: end + 1 for place, end in load.ends.items()})


def test_events_have_their_size() -> None:
    assert {len(event(number, "t0999999", topic)) for number in (0, 999_999) for topic in TOPICS} == {281}


def test_pace_leaves_the_start_out() -> None:
    """Only what was done between the first and the last sample counts, in the time between them."""
    samples = [Sample(at_s=0, events=0), Sample(at_s=9, events=100), Sample(at_s=10, events=1_000)]
    assert pace(samples, 1_000) == 900


@pytest.mark.parametrize(
    "samples", [[], [Sample(at_s=1, events=9)], [Sample(at_s=1, events=6), Sample(at_s=2, events=9)]]
)
def test_pace_of_a_short_run_is_unknown(samples: list[Sample]) -> None:
    """Less than half of the events within the samples says nothing."""
    assert pace(samples, 10) is None


@pytest.mark.parametrize(
    ("figure", "judgement"),
    [(1.0, Judgement.MET), (0.9, Judgement.MISSED), (0.5, Judgement.MISSED_WIDELY), (None, Judgement.NOT_MEASURED)],
)
def test_judgements(figure: float | None, judgement: Judgement) -> None:
    assert Target(limit=1, at_least=True).judge(figure) is judgement


@pytest.mark.parametrize(("value", "code"), [(10, 0), (19, 0), (20, 1), (None, 3)])
def test_exit_code_of_a_limit(value: float | None, code: int) -> None:
    """A target missed by half fails the benchmark, a target without a figure leaves it open."""
    limit = Target(limit=10, at_least=False)
    assert Results(figures=[Figure(what="time", value=value, unit="ms", target=limit)]).exit_code() == code


def test_no_rounds_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark that measured nothing has proven nothing."""
    with pytest.raises(SystemExit, match="4"):
        main(["--rounds", "0"])
    assert "--rounds" in capsys.readouterr().err
