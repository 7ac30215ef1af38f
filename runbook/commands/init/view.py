"""How a proposal and the settings in force are shown."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from runbook.commands.init.result import FoundSetting, InitResult, SettingInForce
from runbook.console.views import cell, heading, named_table, problem_view
from runbook.model import Problem


def views(result: InitResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom; the lines to write were shown before the question."""
    if result.found:
        yield found_view(result.found)
    if result.unknown:
        yield problems_view("Not to be found out", result.unknown)
    if result.settings is not None:
        yield settings_view(result.settings)
    if result.wrong:
        yield problems_view("Wrong", result.wrong)


def found_view(found: Sequence[FoundSetting]) -> RenderableType:
    """Return the settings that differ from their defaults here."""
    table = named_table("setting", "value", "because", whole=("setting",))
    for one in found:
        table.add_row(cell(f"{one.group}.{one.key}"), cell(one.value), cell(one.why))
    return Group(heading("Found"), table)


def problems_view(title: str, problems: Sequence[Problem]) -> RenderableType:
    """Return problems, each in its three parts."""
    parts = [part for one in problems for part in (problem_view(one), Text(""))]
    return Group(heading(title), *parts[:-1])


def settings_view(settings: Sequence[SettingInForce]) -> RenderableType:
    """Return every setting with its value and where it came from."""
    table = named_table("setting", "value", "from", whole=("setting",))
    for one in settings:
        table.add_row(cell(f"{one.group}.{one.key}"), cell(one.value), cell(one.place))
    return table
