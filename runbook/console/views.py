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
from runbook.flow import HOPS
from runbook.model import CheckResult, Criterion, Evidence, Problem, StepResult, TaskResult, Verdict
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
_INDENT = 5
_WORTH_TELLING_S = 0.1


def word(outcome: str) -> Text:
    """Return an outcome as an operator reads it: `not_checked` is "not checked"."""
    return Text(visible_line(outcome.replace("_", " ")), style=STYLES.get(outcome, ""))


def heading(text: str) -> Text:
    """Return the line above a part of the result."""
    return Text(visible_line(text), style="bold")


def quiet_table() -> Table:
    """Return a table that is a heading, a rule and columns two spaces apart."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def step_view(result: StepResult) -> RenderableType:
    """Return how a step ended; what was seen follows where the step did not go as wished."""
    took = f" after {span(result.duration_s)}" if result.duration_s >= _WORTH_TELLING_S else ""
    line = Text.assemble(word(result.outcome), (took, "dim"), ": ", visible(result.reason))
    if result.outcome not in {"failed", "not_checked", "rolled_back"}:
        return _indented(line)
    said = tuple(item for item in result.evidence if item.saw != result.reason)
    return _indented(Group(line, *evidence_lines(said)))


def note_view(text: str) -> RenderableType:
    """Return a line that belongs to the step at work."""
    return _indented(Text(visible(text)))


def evidence_lines(evidence: tuple[Evidence, ...]) -> Iterator[Text]:
    """Yield each observation as `where: what`."""
    for item in evidence:
        yield Text.assemble((visible_line(item.source), "dim"), ": ", visible(item.saw))


def diff_view(diff: str) -> Text:
    """Return a unified diff in colours; its lines stay whole, and a byte order mark is written out."""
    lines = diff.removesuffix("\n").split("\n")
    coloured = (Text(visible(line), style=_diff_style(line)) for line in lines)
    return Text("\n", no_wrap=True, overflow="ignore").join(coloured)


def criteria_view(criteria: tuple[Criterion, ...]) -> RenderableType:
    """Return the success criteria, each with its evidence."""
    met = sum(item.outcome == "ok" for item in criteria)
    grid = _grid()
    for item in criteria:
        claim = Group(Text(visible(item.claim)), *evidence_lines(item.evidence))
        grid.add_row(str(item.number), word(item.outcome), claim)
    return Group(heading(f"Success criteria: {met} of {len(criteria)} met"), grid)


def verdict_view(verdict: Verdict, *, title: str = "Verdict") -> RenderableType:
    """Return a verdict with its evidence and what to do next; that all is well needs no list of what was seen."""
    headline = Text.assemble((f"{title}: ", "bold"), word(verdict.outcome), f" {visible_line(verdict.code)}".rstrip())
    parts: list[RenderableType] = [headline]
    if verdict.claim:
        parts.append(_indented(Text(visible(verdict.claim))))
    if verdict.outcome != "healthy" or verdict.code:
        parts.extend(_indented(line) for line in evidence_lines(verdict.evidence))
    if verdict.fix:
        parts.append(_fix(verdict.fix, indent=_INDENT))
    return Group(*parts)


def checks_view(checks: tuple[CheckResult, ...]) -> RenderableType:
    """Return the hops in the order of the flow: how many claims hold, and each one that does not."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    place = {hop: number for number, hop in enumerate(HOPS)}
    for hop in sorted(dict.fromkeys(check.hop for check in checks), key=lambda hop: place.get(hop, len(place))):
        name = visible_line(hop)
        for status, text in _hop_lines(tuple(check for check in checks if check.hop == hop)):
            grid.add_row(name, word(status), text)
            name = ""
    return Group(heading("Checks along the flow"), _indented(grid))


def problem_view(problem: Problem) -> RenderableType:
    """Return a problem in its three parts."""
    return Group(
        Text(visible(problem.seen), style="bold red"),
        Text(visible(problem.where), style="dim", no_wrap=True, overflow="ignore"),
        _fix(problem.fix),
    )


def ending_view(result: TaskResult, *, record: str) -> RenderableType:
    """Return the last lines: outcome, exit code, run id, and where the record is."""
    line = Text.assemble((f"{visible_line(result.task)} on {visible_line(result.target)}: ", "bold"))
    line.append_text(word(result.outcome))
    line.append(f" after {span(result.duration_s)}, exit code {result.exit_code} ({_meaning(result.exit_code)})")
    if not result.run_id:
        return line
    where = f"run {visible_line(result.run_id)}" + (f", record in {visible_line(record)}" if record else "")
    return Group(line, Text(where, style="dim", no_wrap=True, overflow="ignore"))


def _hop_lines(checks: tuple[CheckResult, ...]) -> Iterator[tuple[str, RenderableType]]:
    holding = sum(check.status == "ok" for check in checks)
    if holding:
        yield "ok", Text(f"{holding} of {len(checks)} claims hold" if holding < len(checks) else _claims(holding))
    for check in checks:
        if check.status == "ok":
            continue
        line = Text.assemble((visible_line(check.code), "bold"), " ", visible(check.claim))
        if check.by:
            line.append(f" (by {visible_line(check.by)})", style="dim")
        shown = () if check.status == "blocked" else check.evidence
        yield check.status, Group(line, *evidence_lines(shown))


def _claims(count: int) -> str:
    return "its claim holds" if count == 1 else f"all {count} claims hold"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", width=3, no_wrap=True)
    grid.add_column(width=11, no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, _INDENT), expand=False)


def _fix(fix: str, *, indent: int = 0) -> Text:
    """Return the next command, never broken into lines, so that it can be copied."""
    return Text.assemble(" " * indent, ("Fix: ", "bold"), visible(fix), no_wrap=True, overflow="ignore")


def _meaning(exit_code: int) -> str:
    return next((code.meaning for code in ExitCode if code == exit_code), "not in the table of exit codes")


def _diff_style(line: str) -> str:
    return next((style for start, style in _DIFF_STYLES if line.startswith(start)), "")
