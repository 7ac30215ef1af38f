"""How a result looks on a screen: pure functions from records to rich renderables, at home in 80 columns.

Every text is put into a `Text`, never into rich markup, so that a label such as `[bold]` stays what it is.
"""

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runbook.errors import ExitCode
from runbook.model import CommandResult, Evidence, Line, Problem, StepResult
from runbook.wording import span, visible, visible_line

STYLES = {
    "ok": "green",
    "changed": "green",
    "healthy": "green",
    "unchanged": "dim",
    "pending": "yellow",
    "not_checked": "yellow",
    "blocked": "yellow",
    "inconclusive": "yellow",
    "interrupted": "yellow",
    "failed": "bold red",
    "broken": "bold red",
    "fault": "bold red",
    "rolled_back": "bold red",
}
_DIFF_STYLES = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))
INDENT = 5
_WORTH_TELLING_S = 0.1
_ON_NO_TARGET = frozenset({"history", "report"})  # they read the runs on every target


def word(outcome: str) -> Text:
    """Return an outcome as an operator reads it: `not_checked` is "not checked"."""
    return Text(visible_line(outcome.replace("_", " ")), style=STYLES.get(outcome, ""))


def heading(text: str) -> Text:
    """Return the line above a part of the result."""
    return Text(visible_line(text), style="bold")


def quiet_table() -> Table:
    """Return a table that is a heading, a rule and columns two spaces apart."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def cell(text: str) -> Text:
    """Return text from outside as one cell of a table."""
    return Text(visible_line(text))


def named_table(*names: str, whole: tuple[str, ...] = ()) -> Table:
    """Return a table; the columns in `whole` are never broken, the others give way."""
    table = quiet_table()
    for name in names:
        table.add_column(cell(name), overflow="fold", no_wrap=name in whole)
    return table


def line_view(line: Line) -> Text:
    """Return one line of a log as it came; a terminal's escape sequences are written out, not obeyed."""
    return Text(visible_line(line.text), no_wrap=True, overflow="ignore")


def step_view(result: StepResult) -> RenderableType:
    """Return how a step ended; what was seen follows where the step did not end well."""
    took = f" after {span(result.duration_s)}" if result.duration_s >= _WORTH_TELLING_S else ""
    line = Text.assemble(word(result.outcome), (took, "dim"), ": ", visible(result.reason))
    if result.outcome not in {"failed", "not_checked", "rolled_back"}:
        return indented(line)
    said = tuple(item for item in result.evidence if item.saw != result.reason)
    return indented(Group(line, *evidence_lines(said)))


def note_view(text: str) -> RenderableType:
    """Return a line that belongs to the step at work."""
    return indented(Text(visible(text)))


def evidence_lines(evidence: tuple[Evidence, ...]) -> Iterator[Text]:
    """Yield each observation as `where: what`."""
    for item in evidence:
        yield Text.assemble((visible_line(item.source), "dim"), ": ", visible(item.saw))


def diff_view(diff: str) -> Text:
    """Return a unified diff in colours; its lines stay whole, and a byte order mark is written out."""
    lines = diff.removesuffix("\n").split("\n")
    coloured = (Text(visible(line), style=_diff_style(line)) for line in lines)
    return Text("\n", no_wrap=True, overflow="ignore").join(coloured)


def problem_view(problem: Problem) -> RenderableType:
    """Return a problem in its three parts."""
    return Group(
        Text(visible(problem.seen), style="bold red"),
        Text(visible(problem.where), style="dim", no_wrap=True, overflow="ignore"),
        fix_line(problem.fix),
    )


def ending_view(result: CommandResult, *, run_folder: str) -> RenderableType:
    """Return the last lines: outcome, exit code, run id, and where the record is."""
    on = "" if result.task in _ON_NO_TARGET else f" on {visible_line(result.target)}"
    line = Text.assemble((f"{visible_line(result.task)}{on}: ", "bold"))
    line.append_text(word(result.outcome))
    line.append(f" after {span(result.duration_s)}, exit code {result.exit_code} ({_meaning(result.exit_code)})")
    if not result.run_id:
        return line
    where = f"run {visible_line(result.run_id)}" + (f", kept in {visible_line(run_folder)}" if run_folder else "")
    return Group(line, Text(where, style="dim", no_wrap=True, overflow="ignore"))


def indented(what: RenderableType) -> Padding:
    """Return a part of a step, below its name."""
    return Padding(what, (0, 0, 0, INDENT), expand=False)


def fix_line(fix: str, *, indent: int = 0) -> Text:
    """Return the next command, never broken into lines, so that it can be copied."""
    return Text.assemble(" " * indent, ("Fix: ", "bold"), visible(fix), no_wrap=True, overflow="ignore")


def _meaning(exit_code: int) -> str:
    return next((code.meaning for code in ExitCode if code == exit_code), "not in the table of exit codes")


def _diff_style(line: str) -> str:
    return next((style for start, style in _DIFF_STYLES if line.startswith(start)), "")
