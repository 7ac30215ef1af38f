"""Every setting of the target with its value and where it came from, and all that is wrong, not only the first."""

import os
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

from runbook.commands.init.options import InitOptions
from runbook.commands.init.result import InitResult, SettingInForce
from runbook.commands.run_context import RunContext
from runbook.commands.setting_warnings import setting_warnings
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.model import Problem
from runbook.settings import TARGET_VARIABLE, Mistakes, Target, load_target, unknown_variables
from runbook.systems.settings_group import Group, is_secret


def check_settings(context: RunContext, options: InitOptions) -> InitResult:
    """List the settings in force, and all that is wrong: an unknown name, a wrong value, a path that is not there.

    Exit code 4 if anything is wrong.
    """
    task_run = TaskRun("init", context)
    try:
        target, mistakes = task_run.step("settings", 0, lambda: _read(context, options))
    except RunbookError as error:
        return task_run.failure(InitResult, error)
    settings = tuple(row for name, group in target.groups.items() for row in _rows(name, group, mistakes.unread))
    named = (Problem(seen=one.seen, where=one.where, fix=one.fix) for one in mistakes.errors)
    wrong = (*named, *_missing_paths(target), *_unknown_variables())
    outcome, code = ("failed", ExitCode.USAGE) if wrong else ("ok", ExitCode.OK)
    return replace(task_run.result(InitResult, outcome, code), settings=settings, wrong=wrong)


def _read(context: RunContext, options: InitOptions) -> StepOutput[tuple[Target, Mistakes]]:
    mistakes = Mistakes()
    target = load_target(context.target_name, directory=context.directory, mistakes=mistakes)
    for warning in setting_warnings(target):
        context.warns(warning)
    count = sum(len(type(group).model_fields) for group in target.groups.values())
    variable = TARGET_VARIABLE if os.environ.get(TARGET_VARIABLE) else "default"
    reason = f"{count} settings of target {target.name}, chosen by {'--target' if options.target else variable}"
    return StepOutput(value=(target, mistakes), outcome="ok", reason=reason)


def _rows(name: str, group: Group, unread: Container[str]) -> Iterator[SettingInForce]:
    """Yield the settings of a group that could be read."""
    for key, info in type(group).model_fields.items():
        source, value = group.source(key), getattr(group, key)
        if name in unread or f"{name}.{key}" in unread:
            continue
        shown = ("set" if value else "unset") if is_secret(info) else ("" if value is None else str(value))
        yield SettingInForce(group=name, key=key, value=shown, source=source.kind, place=str(source))


def _missing_paths(target: Target) -> Iterator[Problem]:
    """Yield what is wrong with paths that somebody has set."""
    for group in target.groups.values():
        for key in type(group).model_fields:
            path = getattr(group, key)
            if isinstance(path, Path) and not os.access(path, os.F_OK):
                place = group.place_of(key)
                yield Problem(seen=f"{key} is {path}, which is not there", where=place, fix=f"correct {place}")


def _unknown_variables() -> Iterator[Problem]:
    """Yield the variables that look like settings and are none."""
    for one in unknown_variables():
        fix = f"set {one.nearest} instead, if that was meant" if one.nearest else "unset it"
        yield Problem(
            seen=f"{one.name} is not a setting and has no effect", where=f"environment variable {one.name}", fix=fix
        )
