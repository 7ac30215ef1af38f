"""Where the lines of a group end, and which lines are a rule's: what is appended or cut is always whole lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.files import yaml_text
from runbook.files.rules_file import FoundRule, TargetRules, not_exact
from runbook.files.text import Splice, Text

_BLANK_LINE = re.compile(r"\n[ \t]*\r?\n")
_ONLY_DASH = re.compile(r" *- +")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A rule's lines with the comment right above it, and the column of its dash."""

    start: int
    end: int
    column: int


def appending(text: Text, target: TargetRules, lines: Sequence[str], column: int) -> list[Splice]:
    """The splices that put lines below the last rule of a group, in place of an empty value if there is no rule."""
    newline = text.newline(target.key.start_mark.index)
    if not target.items:
        value = target.value
        end = _line_end(text.body, value.end_mark.index)
        gone = text.body[target.key.end_mark.index : value.start_mark.index].rstrip(" ")
        start = target.key.end_mark.index + len(gone)
        return [Splice(start, value.end_mark.index, ""), Splice(end, end, newline + newline.join(lines))]
    content, blank_counts = yaml_text.last_content(text, target.value)
    at = _bottom(text.body, content, column)
    gap = newline if not blank_counts and _parted_by_blank_lines(text, target) else ""
    return [Splice(at, at, newline + gap + newline.join(lines))]


def lines_of(text: Text, found: FoundRule) -> Lines:
    """The lines of a rule; raises DocumentError if other rules have a part in them."""
    name = yaml_text.scalar(found.node, "alert")
    start = text.body.rfind("\n", 0, found.offset) + 1
    dash = text.body[start : found.offset]
    content, blank_counts = yaml_text.last_content(text, found.node)
    if not _ONLY_DASH.fullmatch(dash) or blank_counts or found.rules.flow_style:
        raise not_exact(text, found.offset, name)
    column = dash.index("-")
    end = _line_end(text.body, content)
    return Lines(start=_first_comment(text.body, start, column), end=end, column=column)


def cutting(text: Text, found: FoundRule, lines: Lines) -> Splice:
    """The splice that takes a rule's lines out, with the blank lines that part it from its neighbour.

    Blank lines that the rule above keeps as its own stay, and so does a file's end without a line end.
    """
    body, start, end = text.body, lines.start, _next_line(text.body, lines.end)
    index = found.rules.value.index(found.node)
    if index == 0:
        while end < len(body) and not body[end : _line_end(body, end)].strip():
            end = _next_line(body, _line_end(body, end))
    elif not yaml_text.last_content(text, found.rules.value[index - 1])[1]:
        while not body[body.rfind("\n", 0, start - 1) + 1 : start].strip():
            start = body.rfind("\n", 0, start - 1) + 1
    if body[end - 1] != "\n":
        start = _line_end(body, start - 1)
    return Splice(start, end, "")


def shifted(text: Text, lines: Lines, column: int) -> list[str]:
    """A rule's lines with its dash in another column; raises DocumentError if a line has not the room."""
    by = column - lines.column
    found = [line.removesuffix("\r") for line in text.body[lines.start : lines.end].split("\n")]
    if any(line.strip() and line[: max(-by, 0)].strip(" ") for line in found):
        raise not_exact(text, lines.start, "it")
    return [" " * by + line[max(-by, 0) :] if line.strip() else line for line in found]


def _first_comment(body: str, start: int, column: int) -> int:
    """Where the comment right above a line begins, if its lines are indented as the rule or further."""
    while start > 0:
        above = body.rfind("\n", 0, start - 1) + 1
        line = body[above:start]
        indent = len(line) - len(line.lstrip(" "))
        if not line.lstrip(" ").startswith("#") or indent < column:
            break
        start = above
    return start


def _bottom(body: str, content: int, column: int) -> int:
    """End of the last line of a group: below its last rule, and below comments indented as its rules are."""
    at = end = _line_end(body, content)
    while end < len(body):
        start = body.index("\n", end) + 1
        end = _line_end(body, start)
        line = body[start:end]
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not (line.lstrip(" ").startswith("#") and indent >= column):
            break
        at = end if line.strip() else at
        if "\n" not in body[end:]:
            break
    return at


def _line_end(body: str, at: int) -> int:
    """Where the line of a character ends, before its line end of one or two characters."""
    end = body.find("\n", at)
    end = len(body) if end < 0 else end
    return end - 1 if body[end - 1 : end] == "\r" else end


def _parted_by_blank_lines(text: Text, target: TargetRules) -> bool:
    """Whether the last two rules of a group have a blank line between them; a single rule gets one."""
    *before_it, last = target.items
    if not before_it:
        return True
    before, _ = yaml_text.last_content(text, before_it[-1])
    return _BLANK_LINE.search(text.body, before, last.start_mark.index) is not None


def _next_line(body: str, end: int) -> int:
    """Where the line below begins."""
    found = body.find("\n", end)
    return len(body) if found < 0 else found + 1
