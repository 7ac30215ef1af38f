"""What a request body must look like, and FastAPI's way to say that it does not (422, `detail` is a list)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its JSON type, and the JSON text of the value that stands for an absent one."""

    name: str
    kind: type
    required: bool = False
    default: str = "null"


LEAD = (
    Field("name", str, required=True),
    Field("email", str, required=True),
    Field("phone", str),
    Field("source", str),
    Field("status", str, default='"new"'),
    Field("assigned_to", str),
    Field("tags", list, default="[]"),
)
JOB = (
    Field("lead_id", int, required=True),
    Field("title", str, required=True),
    Field("status", str, default='"Open"'),
    Field("description", str),
)
_TYPE_ERRORS: Mapping[type, tuple[str, str]] = {
    str: ("string_type", "Input should be a valid string"),
    int: ("int_type", "Input should be a valid integer"),
    list: ("list_type", "Input should be a valid list"),
}


class InvalidBodyError(Exception):
    """The body does not fit; `detail` is the answer's."""

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__("invalid body")
        self.detail = detail


def parsed(body: bytes, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return every field's value; unknown fields are ignored, as FastAPI does. Raises InvalidBodyError."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise InvalidBodyError([_problem("json_invalid", ["body", 0], "JSON decode error", {})]) from error
    if not isinstance(document, dict):
        text = "Input should be a valid dictionary or object to extract fields from"
        raise InvalidBodyError([_problem("model_attributes_type", ["body"], text, document)])
    problems = [problem for field in fields if (problem := _problem_of(field, document))]
    if problems:
        raise InvalidBodyError(problems)
    return {
        field.name: document[field.name] if field.name in document else json.loads(field.default) for field in fields
    }


def _problem_of(field: Field, document: Mapping[str, Any]) -> dict[str, Any] | None:
    if field.name not in document:
        return _problem("missing", ["body", field.name], "Field required", document) if field.required else None
    value = document[field.name]
    if value is None and not field.required and field.default == "null":
        return None
    if not isinstance(value, field.kind) or isinstance(value, bool):
        kind, text = _TYPE_ERRORS[field.kind]
        return _problem(kind, ["body", field.name], text, value)
    if field.name == "email" and "@" not in str(value)[1:-1]:
        text = "value is not a valid email address: An email address must have an @-sign."
        return _problem("value_error", ["body", field.name], text, value)
    return None


def _problem(kind: str, where: list[str | int], text: str, value: object) -> dict[str, Any]:
    return {"type": kind, "loc": where, "msg": text, "input": value}
