"""Options of the commands, each declared once: a field of a plain record with flag, default, help and conversion.

The command line hands over text; a wrong value ends in three parts, not in a traceback. `inv --list` imports every
options record, so nothing heavy is imported here or there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar

from runbook.errors import UsageError

Convert = Callable[[str, str], object]
"""What makes a value of a flag and its text. Raises UsageError."""

_HELP: Final = "help"
_FLAG: Final = "flag"
_CONVERT: Final = "convert"


class Options(Protocol):
    """A record of options: a frozen dataclass whose fields were made by `option`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


O = TypeVar("O", bound=Options)  # noqa: E741 - the type of the options


def option(
    default: object = MISSING,
    *,
    help: str,  # noqa: A002 - Invoke's word
    flag: str = "",
    convert: Convert | None = None,
) -> Any:  # noqa: ANN401 - dataclasses' own: a field takes the type of its annotation
    """Return a field that is an option. Without a default it is a positional argument.

    `flag` is its name on the command line where that differs from the field's (`timeout` for `timeout_s`).
    """
    return field(default=default, metadata={_HELP: help, _FLAG: flag, _CONVERT: convert})


def parameter(one: Field[Any]) -> str:
    """Return the name of an option as a parameter of a task: `dry_run`, `timeout`."""
    return str(one.metadata[_FLAG] or one.name)


def default_of(one: Field[Any]) -> object:
    """Return the default as the command line has it: text, or a switch."""
    if one.default is MISSING or one.default is None or isinstance(one.default, bool):
        return one.default
    return f"{one.default:g}" if isinstance(one.default, float) else str(one.default)


def help_of(one: Field[Any]) -> str:
    """Return the help of an option, with its default if it has one."""
    default = default_of(one)
    return f"{one.metadata[_HELP]} ({default})" if isinstance(default, str) and default else str(one.metadata[_HELP])


def from_command_line(kind: type[O], given: Mapping[str, object]) -> O:
    """Return the options that the command line gave, by parameter. Raises UsageError for a value of the wrong form."""
    values = {one.name: _converted(one, given[parameter(one)]) for one in fields(kind)}
    return kind(**values)


def _converted(one: Field[Any], value: object) -> object:
    convert: Convert | None = one.metadata[_CONVERT]
    flag = f"--{parameter(one).strip('_').replace('_', '-')}"
    if value == "" != default_of(one):
        fix = f"give it a value, or leave {flag} out"
        raise UsageError(f"{flag} is empty", where=f"option {flag}", fix=fix)  # as an unset shell variable is
    if convert is None or not isinstance(value, str):
        return value
    return convert(flag, value)


def whole(flag: str, text: str) -> int:
    """Return a whole number. Raises UsageError."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{flag} is {text!r}", where=f"option {flag}", fix="give a whole number") from None


def positive(flag: str, text: str) -> float:
    """Return a finite number above 0. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise UsageError(f"{flag} is {text!r}", where=f"option {flag}", fix="give a number above 0")
    return value


def path(_flag: str, text: str) -> Path:
    """Return a path."""
    return Path(text)


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """What every command takes."""

    json: bool = option(
        False, help="print exactly one JSON document on standard output, everything else on standard error"
    )


@dataclass(frozen=True, kw_only=True)
class TargetOptions(JsonOption):
    """What every command takes that works on an installation."""

    target: str | None = option(
        None, help="the installation: live, local, docker, or a table of runbook.toml (also RUNBOOK_TARGET)"
    )


@dataclass(frozen=True, kw_only=True)
class YesOption:
    """What a command takes that asks before it changes something."""

    yes: bool = option(False, help="answer yes to every question")


@dataclass(frozen=True, kw_only=True)
class RunIdOption:
    """What a command takes that works on an earlier run."""

    run_id: str | None = option(None, flag="run", help="id of the run, see history; default: the newest that fits")
