"""Invoke's tasks, made of a command's options and of the function that does its work."""

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any, TypeVar

from invoke import Context
from invoke.tasks import Task

from runbook.model import CommandResult
from runbook.options import Options, default_of, from_command_line, help_of, parameter

O = TypeVar("O", bound=Options)  # noqa: E741 - the type of the options


def command(
    options: type[O],
    *,
    name: str = "",
    target: str | None = None,
    is_recorded: bool = True,
    has_report: bool = False,
    is_confirmed: bool = False,
) -> Callable[[Callable[[Any, O], CommandResult]], "Task[Any]"]:
    """Return the decorator that makes a task of `work(context, options)`; the docstring of `work` is its promise.

    `target` is the target of a command that has no choice, or its default. What is not recorded keeps no run log;
    what is confirmed asks nothing.
    """

    def made(work: Callable[[Any, O], CommandResult]) -> "Task[Any]":
        called = name or work.__name__

        def body(_context: Context, **given: object) -> None:
            from runbook.commands.execute import execute

            code = execute(
                called,
                lambda context: work(context, from_command_line(options, given)),
                target=_text(given.get("target")) or ("docker" if given.get("docker") else target),
                json=bool(given.get("json")),
                prints=bool(given.get("print")),
                yes=is_confirmed or bool(given.get("yes")),
                is_recorded=is_recorded,
                has_report=has_report,
            )
            if code:
                sys.exit(code)

        return _task(body, options, name=called.rpartition(".")[2], doc=work.__doc__)

    return made


def _task(body: Callable[..., None], options: type[Options], *, name: str, doc: str | None) -> "Task[Any]":
    """Return a task with long options only: letters given out by order would make -y mean --dry-run in one of them."""
    parameters = [
        Parameter(parameter(one), Parameter.KEYWORD_ONLY, default=_default(default_of(one))) for one in fields(options)
    ]
    context = Parameter("_context", Parameter.POSITIONAL_OR_KEYWORD)
    body.__signature__ = Signature([context, *parameters])  # type: ignore[attr-defined]  # what inspect looks for
    body.__doc__ = doc
    positional = [one.name for one in parameters if one.default is Parameter.empty]
    helps = {parameter(one): help_of(one) for one in fields(options)}
    return Task(body, name=name, positional=positional, help=helps, auto_shortflags=False)


def _default(value: object) -> object:
    return Parameter.empty if value is MISSING else value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
