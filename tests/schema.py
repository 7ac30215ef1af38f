"""The schema of `--json` as the tests hold it: no field that it does not name.

Readers ignore the fields that they do not know; what this project writes has none.
"""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from runbook.console import schema


def validate(candidate: dict[str, Any]) -> None:
    """Raise jsonschema.ValidationError unless the document is what the schema promises, and nothing beside it."""
    _validator().validate(candidate)


@cache
def _validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(_closed(schema()))


def _closed(part: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return a schema whose objects have no other fields than those that are declared."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(item) for name, item in part.items()}
    is_object = part.get("type") == "object" and "properties" in part
    return {"additionalProperties": False, **closed} if is_object else closed
