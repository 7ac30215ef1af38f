"""What is wrong with a setting, in plain words: what it must be, where it was given, and an example."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from runbook.errors import UsageError
from runbook.shell import quoted
from runbook.systems.setting_sources import Source, TomlTable
from runbook.systems.settings_group import Given, Group, is_secret

_FORMS: Final[dict[object, tuple[str, object]]] = {
    str: ("text", "..."),
    SecretStr: ("text", "..."),
    Path: ("a path", "/..."),
    bool: ("true or false", True),
    int: ("a whole number", 30),
    float: ("a number", 2.5),
    dict: ("a table of names and texts", {}),
}
_GIVEN: Final[dict[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean grafana?` for a misspelt name, or nothing when no known one is similar."""
    near = get_close_matches(name, list(known), n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def wrong_settings(
    error: ValidationError, kind: type[Group], *, given: Given, group: str, toml: TomlTable
) -> dict[str, UsageError]:
    """Return each wrong setting with its first mistake in three parts. No value is quoted: it may be a secret."""
    found: dict[str, UsageError] = {}
    for one in error.errors(include_url=False):
        setting = str(one["loc"][0])
        if setting not in found:
            found[setting] = _wrong(setting, one, kind, given=given, group=group, toml=toml)
    return found


def _wrong(
    setting: str, first: ErrorDetails, kind: type[Group], *, given: Given, group: str, toml: TomlTable
) -> UsageError:
    if setting not in kind.model_fields:
        return UsageError(
            f"{setting!r} is not a setting of {group}{did_you_mean(setting, kind.model_fields)}",
            where=toml.place(setting),
            fix=f"use one of {', '.join(kind.model_fields)}",
        )
    info = kind.model_fields[setting]
    source = given.sources.get(setting)
    by_variable = source is not None and source.kind == "environment"
    right = getattr(first.get("ctx", {}).get("error"), "right", None)  # of our own checks that know what was meant
    example = right or _example(info)
    variable = f"{given.prefix}{setting}".upper()
    written = f"{variable}={_in_a_shell(example)}" if by_variable else f"{setting} = {in_toml(example)}"
    return UsageError(
        f"{setting} {_mistake(first['type'], first['msg'], first['input'], info)}",
        where=_place(source, toml, setting),
        fix=f"write it like this: {written} ({info.description})",
    )


def _place(source: Source | None, toml: TomlTable, setting: str) -> str:
    if source is None:
        return toml.place(setting)
    return f"environment variable {source.name}" if source.kind == "environment" else source.name


def _mistake(kind: str, message: str, given: object, info: FieldInfo) -> str:
    if kind == "value_error":  # of our own checks: words for an operator already
        return message.removeprefix("Value error, ")
    is_typed = kind.endswith(("_type", "_parsing", "_error"))
    must = f"must be {_form(info)}" if is_typed else message.replace("Input should", "must")
    is_given = _GIVEN.get(type(given), "") if is_typed else ""
    return f"{must}, not {is_given}" if is_given and is_given not in must else must


def _form(info: FieldInfo) -> str:
    kind = _kind(info)
    if get_origin(kind) is Literal:
        return " or ".join(repr(one) for one in get_args(kind))
    return _FORMS[get_origin(kind) or kind][0]


def _example(info: FieldInfo) -> Any:  # noqa: ANN401 - a value of any setting
    if info.examples:
        return info.examples[0]
    default = info.get_default()
    kind = _kind(info)
    if default is None or is_secret(info):
        return _FORMS[get_origin(kind) or kind][1]
    return default


def _kind(info: FieldInfo) -> Any:  # noqa: ANN401 - types have none
    """Return the type of a setting, without None."""
    kinds = [one for one in get_args(info.annotation) if one is not type(None)]
    return info.annotation if get_origin(info.annotation) in {dict, Literal} or not kinds else kinds[0]


def _in_a_shell(value: object) -> str:
    return quoted(value if isinstance(value, str) else json.dumps(value))


def in_toml(value: object) -> str:
    """Return a value of a setting as it is written in runbook.toml."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {in_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
