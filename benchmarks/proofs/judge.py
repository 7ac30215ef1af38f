"""Compares what verify said with what is true: each difference is a defect of one kind."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator, ValidationError

from benchmarks.proofs.oracle import Key, Run, Truth
from benchmarks.proofs.program import Ended
from runbook.console import schema

Kind = Literal[
    "false failed", "false ok", "not checked without need", "false reason", "absurd", "time", "no fix", "trace", "form"
]
KINDS: Final[tuple[Kind, ...]] = (
    *("false failed", "false ok", "not checked without need", "false reason"),
    *("absurd", "time", "no fix", "trace", "form"),
)

_NEGATIVE: Final = re.compile(r"(?<![\w.:/\-\[])-\d+(?:\.\d+)?(?!\d*[-:])")
_NOTHING_SEEN: Final = re.compile(r"\b0 lines for [1-9]")
_ENTITY: Final = re.compile(r"\b(lead|job) \d+")
_BEGAN: Final = re.compile(r"\b(began|begins?|started|starts?) (at|from|again at) (0|zero)\b")
_RESTARTED: Final = re.compile(r"\brestart|\banother process|\bnew process")
_SILENT: Final = re.compile(r"does not answer|refused|cannot be reached|unreachable")
_ROUNDING_S: Final = 0.002
_TRACE: Final = "Traceback (most recent call last)"
_OK: Final = 0
_FAILED: Final = 1
_NOT_CHECKED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One thing that verify said and that is not so."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def judged(ended: Ended, run: Run, truth: Truth) -> list[Defect]:
    """Return every defect of one verify."""
    found: dict[tuple[Kind, str], int] = {}
    for kind, text in _defects(ended, run, truth):
        alike = (kind, _ENTITY.sub(r"\1", text))
        found[alike] = found.get(alike, 0) + 1
    return [
        Defect(kind=kind, text=text if times == 1 else f"{times} times {text}") for (kind, text), times in found.items()
    ]


def reasons(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was not checked: the place, and the reason that was given."""
    return [(place, text) for place, outcome, text in _places(document) if outcome == "not_checked"]


def _defects(ended: Ended, run: Run, truth: Truth) -> Iterator[tuple[Kind, str]]:
    if _TRACE in ended.stderr or _TRACE in ended.stdout:
        yield "trace", ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else _TRACE
    if not ended.document:
        yield "form", f"exit code {ended.code} without one JSON document"
        return
    yield from _form(ended, run)
    yield from _absurd(ended.document, truth)
    yield from _times(ended.document, truth)
    if ended.code != _OK and not _fix(ended):
        yield "no fix", f"exit code {ended.code}, and nothing says what to do"
    if truth.lost:
        yield from _of_a_loss(ended, truth)
    else:
        yield from _of_no_loss(ended, truth)


def _form(ended: Ended, run: Run) -> Iterator[tuple[Kind, str]]:
    document = ended.document
    try:
        _validator().validate(document)
    except ValidationError as error:
        yield "form", error.message
    if document.get("exit_code") != ended.code:
        yield "form", f"the document has exit code {document.get('exit_code')}, the process {ended.code}"
    ledger = document.get("ledger")
    if ledger is None:
        if ended.code == _OK:
            yield "form", "exit code 0 without a ledger"
        return
    if ledger["run_id"] != run.run_id:
        yield "form", f"it is about run {ledger['run_id']}, and {run.run_id} was meant"
    keys = [(row["kind"], row["id"]) for row in ledger["rows"]]
    if sorted(keys) != sorted(run.created):
        yield "form", f"{len(keys)} rows for {len(run.created)} entities"
    outcomes = {outcome for _, outcome, _ in _places(document)}
    if ended.code == _OK and outcomes != {"ok"}:
        yield "form", f"exit code 0 with outcomes {sorted(outcomes)}"


def _absurd(document: Mapping[str, Any], truth: Truth) -> Iterator[tuple[Kind, str]]:
    for path, value in _leaves(document):
        if isinstance(value, (int, float)) and value < 0:
            yield "absurd", f"{path} is {value}"
        elif isinstance(value, str) and (found := _NEGATIVE.search(value)):
            yield "absurd", f"{path} says {found[0]}: {value[:200]}"
    for one in (document.get("ledger") or {}).get("sums", []):
        series = (one["topic"], one["tenant_id"])
        where = f"sum of {one['source']} {series}"
        expected, copies = truth.ours.get(series, 0), truth.copies.get(series, 0)
        if one["ours"] > expected + copies or (one["outcome"] == "ok" and one["ours"] < expected):
            yield "absurd", f"{where}: ours is {one['ours']}, Kafka has {expected}"
        if one["others"] is not None and one["others"] > truth.others.get(series, 0) + copies:
            yield "absurd", f"{where}: others is {one['others']}, Kafka has {truth.others.get(series, 0)}"
        if one["outcome"] == "ok" and one["ours"] + (one["others"] or 0) != one["delta"]:
            yield "absurd", f"{where}: ok with {one['ours']} + {one['others']} = {one['delta']}"
    for path, outcome, text in _places(document):
        if outcome == "ok" and _NOTHING_SEEN.search(text):
            yield "absurd", f"{path} is ok: {text[:200]}"


def _times(document: Mapping[str, Any], truth: Truth) -> Iterator[tuple[Kind, str]]:
    """Nothing is seen at a hop before the event was in Kafka; nothing is seen later than now."""
    now_s = datetime.now(UTC).timestamp()
    for row in (document.get("ledger") or {}).get("rows", []):
        event = truth.events.get((row["kind"], row["id"]))
        for hop in row["hops"]:
            if hop["at"] is None or hop["hop"] == "api":
                continue
            at_s = datetime.fromisoformat(hop["at"]).timestamp()
            if event is not None and at_s < event.at_s - _ROUNDING_S:
                yield "time", f"{row['kind']} {row['id']} at {hop['hop']} {event.at_s - at_s:.3f} s before its event"
            if at_s > now_s:
                yield "time", f"{row['kind']} {row['id']} at {hop['hop']} in the future"


def _of_a_loss(ended: Ended, truth: Truth) -> Iterator[tuple[Kind, str]]:
    ledger = ended.document.get("ledger") or {}
    if ended.code == _OK:
        yield "false ok", f"exit code 0, although {truth.lost}"
    for row in ledger.get("rows", []):
        key: Key = (row["kind"], row["id"])
        if key in truth.lost_keys and row["outcome"] == "ok":
            yield "false ok", f"{key} is ok, although {truth.lost}"
    for one in ledger.get("sums", []):
        if (one["topic"], one["tenant_id"]) in truth.wrong_series and one["outcome"] == "ok":
            yield "false ok", f"the sum of {one['source']} for {one['topic']} is ok, although {truth.lost}"
    if ended.code not in {_OK, _FAILED} and (truth.lost_keys or not truth.excuses):
        yield "not checked without need", f"exit code {ended.code}, although the sources show that {truth.lost}"


def _of_no_loss(ended: Ended, truth: Truth) -> Iterator[tuple[Kind, str]]:
    document = ended.document
    error = document.get("error")
    outcomes = {outcome for _, outcome, _ in _places(document)}
    if ended.code not in {_OK, _NOT_CHECKED} and "failed" not in outcomes and not (error and truth.excuses):
        yield "false failed", f"exit code {ended.code}: {error['seen'][:300] if error else 'nothing has failed'}"
    if ended.code == _NOT_CHECKED and "not_checked" not in outcomes and not truth.excuses:
        yield "not checked without need", error["seen"][:300] if error else "nothing is not checked"
    for place, outcome, text in _places(document):
        hop = _hop(place)
        if outcome == "failed" and not _may_fail(place, truth):
            yield "false failed", f"{place}: {text[:300]}"
        if outcome == "not_checked" and not (hop & truth.excuses.keys()):
            yield "not checked without need", f"{place}: {text[:300]}"
        if outcome == "not_checked" and (why := _untrue(text, truth)):
            yield "false reason", f"{place}: {text[:300]} ({why})"


def _may_fail(place: str, truth: Truth) -> bool:
    """Tell if it is true that this failed, although no event was lost."""
    is_step = place.startswith("step") and bool(truth.may_fail)
    return is_step or place in truth.may_fail or (truth.is_blind and place.endswith("panel"))


def _untrue(text: str, truth: Truth) -> str:
    """Say why a reason cannot be true, or nothing."""
    if _BEGAN.search(text) and not truth.forgets:
        return "its journal keeps the totals"
    if _RESTARTED.search(text) and not truth.restarted:
        return "nothing was restarted"
    if _SILENT.search(text) and not truth.away:
        return "everything answers"
    return ""


_HOPS: Final = {
    "sink log": ("sink log",),
    "sink metrics": ("counter",),
    "sum of sink": ("counter",),
    "counter": ("counter",),
    "Prometheus": ("prometheus",),
    "prometheus": ("prometheus",),
    "panels": ("panel",),
    "panel": ("panel",),
    "criterion 1": ("panel", "prometheus"),
    "criterion 2": ("panel", "prometheus"),
    "criterion 3": ("prometheus",),
    "criterion 4": ("counter",),
    "criterion 5": ("sink log",),
    "alert rule": ("prometheus",),
    "ledger": ("sink log", "counter", "prometheus", "panel"),
    "row": ("sink log", "counter", "prometheus", "panel"),
}


def _hop(place: str) -> frozenset[str]:
    """Return the hops whose excuse is one for a place such as `step Prometheus` or `lead 3 panel`."""
    words = next((name for name in _HOPS if place.endswith(name) or place.startswith(name)), "")
    return frozenset(_HOPS.get(words, ()))


def _places(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield every place of a document with its outcome, and what is said there."""
    for step in document.get("steps", []):
        yield f"step {step['step']}", step["outcome"], step["reason"]
    for criterion in document.get("criteria", []):
        said = "; ".join(f"{one['source']}: {one['saw']}" for one in criterion["evidence"])
        yield f"criterion {criterion['number']}", criterion["outcome"], said
    ledger = document.get("ledger") or {"rows": [], "sums": []}
    for row in ledger["rows"]:
        for hop in row["hops"]:
            yield f"{row['kind']} {row['id']} {hop['hop']}", hop["outcome"], hop["saw"]
    for one in ledger["sums"]:
        said = f"{one['topic']} {one['tenant_id']}: {one['ours']} + {one['others']} = {one['delta']}"
        yield f"sum of {one['source']}", one["outcome"], said


def _leaves(part: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _leaves(value, f"{path}[{index}]")
    else:
        yield path, part


def _fix(ended: Ended) -> str:
    """Return what the ending says to do: the error's fix, or a line of the text for people."""
    error = ended.document.get("error") or {}
    if error.get("fix"):
        return str(error["fix"])
    lines = (line.strip() for line in ended.stderr.splitlines())
    return next((line for line in lines if line.startswith("Fix:")), "")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())
