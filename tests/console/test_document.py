"""The JSON view: one document per result; the tests hold the schema without room for fields that it does not name."""

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError

from runbook import model
from runbook.commands.history.result import PastRun
from runbook.commands.init.result import FoundSetting, SettingInForce
from runbook.commands.metrics.result import QueryAnswer, SeriesValue
from runbook.commands.silence.result import Silenced
from runbook.commands.verify.result import JudgedBoundary, JudgedFlow
from runbook.console import document, json_text, schema
from runbook.errors import ExitCode
from tests.everything import Everything
from tests.schema import validate

COMMANDS = Path(__file__).parents[2] / "runbook" / "commands"
RECORDS = {
    "evidence": model.Evidence,
    "step": model.StepResult,
    "error": model.Problem,
    "criterion": model.Criterion,
    "flow": JudgedFlow,
    "boundary": JudgedBoundary,
    "hop": model.HopSight,
    "sum": model.LedgerSum,
    "check": model.CheckResult,
    "verdict": model.Verdict,
    "part": model.ServiceStatus,
    "run": PastRun,
    "series": SeriesValue,
    "answer": QueryAnswer,
    "silence": Silenced,
    "line": model.Line,
    "found": FoundSetting,
    "setting": SettingInForce,
}


OF_THE_LEDGER = {model.Ledger, model.LedgerRow, model.Created}
"""Records that the document writes in a shape of its own."""


def records_in(kind: object) -> set[type]:
    """Return every record that a type holds, at any depth."""
    if isinstance(kind, type) and is_dataclass(kind):
        return {kind}.union(*(records_in(one) for one in get_type_hints(kind).values()))
    return set[type]().union(*(records_in(one) for one in get_args(kind)))


def test_every_record_of_a_result_is_compared_with_the_schema() -> None:
    """A command that is added brings its records along."""
    assert records_in(Everything) - {Everything} == set(RECORDS.values()) | OF_THE_LEDGER


@pytest.mark.parametrize("path", sorted(COMMANDS.glob("*/result.py")), ids=lambda path: path.parent.name)
def test_everything_has_the_fields_of_every_command(path: Path) -> None:
    """What a command adds is in the golden files and in the documents that are tried here."""
    module = import_module(f"runbook.commands.{path.parent.name}.result")
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, model.CommandResult)]
    added = {field.name for kind in kinds for field in fields(kind)}

    assert added <= {field.name for field in fields(Everything)}


@pytest.mark.parametrize("name", ["healthy", "failing", "listing"])
def test_every_result_is_a_valid_document(name: str, request: pytest.FixtureRequest) -> None:
    """What `--json` prints validates against the schema that ships with the package."""
    validate(json.loads(json_text(request.getfixturevalue(name))))


def test_a_task_without_a_part_has_no_such_field(healthy: Everything) -> None:
    """Absent means: this task has none; null would leave that open."""
    bare = replace(healthy, criteria=None, ledger=None)

    assert set(document(bare)) == {
        "schema", "task", "target", "run_id", "started_at", "duration_s", "outcome", "exit_code", "steps",
    }  # fmt: skip


def test_an_empty_list_was_looked_for(healthy: Everything) -> None:
    """No silences found is an answer, unlike no silences asked for."""
    found = document(replace(healthy, silences=()))

    assert found["silences"] == []
    assert "runs" not in found


def test_the_ledger_says_what_follows_from_its_rows(failing: Everything) -> None:
    """A reader of the document need not know how an outcome is made of hops."""
    ledger = document(failing)["ledger"]

    assert (ledger["outcome"], ledger["proven"], ledger["total"]) == ("failed", 0, 2)
    assert [row["outcome"] for row in ledger["rows"]] == ["failed", "not_checked"]
    assert ledger["sums"][0] == {
        "source": "Prometheus",
        "topic": "apexflow.leads.created",
        "tenant_id": "acme",
        "ours": 2,
        "others": 0,
        "delta": None,
        "outcome": "not_checked",
    }


def test_times_are_utc(healthy: Everything) -> None:
    """A time that came with another offset is told in UTC, with Z."""
    there = datetime(2025, 11, 3, 21, 0, tzinfo=timezone(timedelta(hours=2)))

    assert document(replace(healthy, started_at=there))["started_at"] == "2025-11-03T19:00:00.000Z"


def test_nan_is_null(listing: Everything) -> None:
    """JSON has no NaN; a document with one would be refused by every strict parser."""
    series = document(listing)["answers"][0]["series"]

    assert [one["value"] for one in series] == [None, 0.016]


@pytest.mark.parametrize(
    "broken",
    [
        {"schema": 1},
        {"outcome": "probably fine"},
        {"exit_code": 7},
        {"started_at": "2025-11-03T19:48:51"},
        {"surprise": 1},
        {"diff": None},
        {"steps": [{"step": "plan"}]},
        {"criteria": [{"number": 6, "claim": "", "outcome": "ok", "evidence": []}]},
        {"verdict": {"outcome": "guilty", "code": "", "claim": "", "evidence": [], "fix": ""}},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_broken_document_fails(healthy: Everything, broken: dict[str, Any]) -> None:
    """The schema refuses unknown fields, unknown words, and times without an offset."""
    with pytest.raises(ValidationError):
        validate(document(healthy) | broken)


@pytest.mark.parametrize("name", ["task", "steps", "exit_code"])
def test_a_missing_field_fails(healthy: Everything, name: str) -> None:
    found = document(healthy)
    del found[name]

    with pytest.raises(ValidationError):
        validate(found)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_schema_and_records_name_the_same_fields(name: str) -> None:
    """A field that is added to a record must be added to the schema, on the day it is added."""
    described = schema()["$defs"][name]
    computed = {"outcome"} if name == "sum" else set()

    assert {field.name for field in fields(RECORDS[name])} | computed == set(described["properties"])
    assert set(described["required"]) == set(described["properties"])


def test_schema_and_exit_codes_agree() -> None:
    assert [code.value for code in ExitCode] == schema()["properties"]["exit_code"]["enum"]


_TEXT = st.text(max_size=20)
_TIMES = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis takes naive limits
_EVIDENCE = st.tuples(st.builds(model.Evidence, source=_TEXT, saw=_TEXT))
_SPANS = st.floats(min_value=0, allow_infinity=False)
_STEPS = st.builds(model.StepResult, number=st.integers(0, 6), evidence=_EVIDENCE, duration_s=_SPANS)
_CREATED = st.builds(model.Created, sent_at=_TIMES, answered_at=_TIMES, status=st.integers(100, 599))
_ROWS = st.builds(model.LedgerRow, created=_CREATED, hops=st.tuples(st.builds(model.HopSight, at=st.none() | _TIMES)))
_LEDGERS = st.builds(
    model.Ledger, rows=st.tuples(_ROWS), sums=st.tuples(st.builds(model.LedgerSum, ours=st.integers(0)))
)
_SERIES = st.builds(SeriesValue, at=_TIMES, value=st.floats())
_RESULTS = st.builds(
    Everything,
    task=st.sampled_from(["verify", "stack.up"]),
    started_at=_TIMES,
    duration_s=_SPANS,
    outcome=st.sampled_from(["ok", "fault", "pending"]),
    exit_code=st.sampled_from([code.value for code in ExitCode]),
    steps=st.tuples(_STEPS),
    ledger=st.none() | _LEDGERS,
    criteria=st.none() | st.tuples(st.builds(model.Criterion, number=st.integers(1, 5))),
    boundaries=st.none() | st.tuples(st.builds(JudgedBoundary, since=st.none() | _TIMES, until=st.none() | _TIMES)),
    runs=st.none() | st.tuples(st.builds(PastRun, started_at=st.none() | _TIMES, duration_s=st.none() | _SPANS)),
    answers=st.none() | st.tuples(st.builds(QueryAnswer, series=st.tuples(_SERIES))),
    silences=st.none() | st.tuples(st.builds(Silenced, ends_at=_TIMES)),
    lines=st.none() | st.tuples(st.builds(model.Line, at=st.none() | _TIMES)),
)


@given(_RESULTS)
@settings(max_examples=60, deadline=None)
def test_any_result_is_a_valid_document(result: Everything) -> None:
    """Whatever the texts, times and figures: the document is valid, pure ASCII, and one JSON value."""
    text = json_text(result)

    validate(json.loads(text))
    assert text.isascii()
