"""How troubleshoot shows its verdict, and the checks along the flow."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbook.commands.troubleshoot.result import TroubleshootResult
from runbook.console.views import INDENT, evidence_lines, fix_line, heading, indented, word
from runbook.flow import HOPS
from runbook.model import CheckResult, Verdict
from runbook.wording import visible, visible_line


def views(result: TroubleshootResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.checks is not None:
        yield checks_view(result.checks)
    if result.verdict is not None:
        yield verdict_view(result.verdict)
    yield from (verdict_view(verdict, title="Also, independent of it") for verdict in result.also or ())


def verdict_view(verdict: Verdict, *, title: str = "Verdict") -> RenderableType:
    """Return a verdict with its evidence and what to do next; that all is well needs no list of what was seen."""
    headline = Text.assemble((f"{title}: ", "bold"), word(verdict.outcome), f" {visible_line(verdict.code)}".rstrip())
    parts: list[RenderableType] = [headline]
    if verdict.claim:
        parts.append(indented(Text(visible(verdict.claim))))
    if verdict.outcome != "healthy" or verdict.code:
        parts.extend(indented(line) for line in evidence_lines(verdict.evidence))
    if verdict.not_exercised:
        parts.append(indented(Text(f"not exercised: {', '.join(map(visible_line, verdict.not_exercised))}")))
    if verdict.fix:
        parts.append(fix_line(verdict.fix, indent=INDENT))
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
    return Group(heading("Checks along the flow"), indented(grid))


def _hop_lines(checks: tuple[CheckResult, ...]) -> Iterator[tuple[str, RenderableType]]:
    holding = sum(check.status == "ok" for check in checks)
    if holding:
        yield "ok", Text(f"{holding} of {len(checks)} checks")
    for check in checks:
        if check.status == "ok":
            continue
        line = Text.assemble((visible_line(check.code), "bold"), " ", visible(check.claim))
        if check.by:
            line.append(f" (by {visible_line(check.by)})", style="dim")
        shown = () if check.status == "blocked" else check.evidence
        yield check.status, Group(line, *evidence_lines(shown))
