"""The JSON view of a result: the document behind `--json`, the record's "result" events, and the report."""

import json
import math
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import msgspec

from runbook.model import CommandResult, Ledger, LedgerRow, LedgerSum

SCHEMA_VERSION = 2
"""It grows by adding: a reader ignores the fields that it does not know. Documents of schema 1 had the same fields."""


def document(result: CommandResult) -> dict[str, Any]:
    """Return the document of a result; what the task does not have is absent, not null."""
    fields = {name: value for name, value in _fields(result).items() if value is not None}
    problem = fields.pop("problem", None)
    if problem is not None:
        fields["error"] = problem
    ledger = getattr(result, "ledger", None)
    if isinstance(ledger, Ledger):
        fields["ledger"] = _ledger(ledger)
    plain: dict[str, Any] = _plain({"schema": SCHEMA_VERSION} | fields)
    return plain


def json_text(result: CommandResult) -> str:
    """Return the document as text: pure ASCII, so that no terminal and no pipe can stumble over it."""
    return json.dumps(document(result), indent=2, allow_nan=False)


def schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) that ships with the package."""
    text = files("runbook.console").joinpath("result.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _fields(record: object) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(datetime,))
    return fields


def _ledger(ledger: Ledger) -> dict[str, Any]:
    return {
        "run_id": ledger.run_id,
        "outcome": ledger.outcome,
        "proven": ledger.proven,
        "total": len(ledger.rows),
        "rows": [_row(row) for row in ledger.rows],
        "sums": [_sum(total) for total in ledger.sums],
    }


def _row(row: LedgerRow) -> dict[str, Any]:
    return _fields(row.created) | {"outcome": row.outcome, "hops": [_fields(hop) for hop in row.hops]}


def _sum(total: LedgerSum) -> dict[str, Any]:
    return _fields(total) | {"outcome": total.outcome}


def _plain(value: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return JSON values: times in UTC with Z, durations to the millisecond, NaN and infinities as null."""
    if isinstance(value, dict):
        return {name: _plain(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return round(value, 3) if key == "duration_s" else value
    return value
