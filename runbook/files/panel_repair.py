"""One repair of a panel as a splice: another value, or a member or an item more, written as those beside it."""

import json
import re
from dataclasses import replace

from runbook.files import json_text
from runbook.files.dashboard_file import Dashboard, Panel
from runbook.files.dashboard_style import style_of, without_line_end
from runbook.files.needed_fields import Repair
from runbook.files.text import Splice

_BEGINS_A_LINE = re.compile(r'[ \t]*("[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*)?')


def repair_splice(dashboard: Dashboard, panel: Panel, repair: Repair) -> Splice:
    """Where the text of a panel changes, and into what; the value that holds the repaired one is there."""
    body, start, end = dashboard.text.body, panel.start, panel.end
    *above, last = repair.path
    for key in above:
        start, end = _spans(body, start)[key]
    spans = _spans(body, start)
    if last in spans:
        start, end = spans[last]
        return Splice(start, end, _written(dashboard, panel, start, repair.value))
    gap, colon = _gaps(body, start)
    *_, (first, end) = spans.values()
    name = f"{json.dumps(last)}{colon}" if isinstance(last, str) else ""
    return Splice(end, end, gap + name + _written(dashboard, panel, first, repair.value))


def _spans(body: str, start: int) -> dict[str | int, tuple[int, int]]:
    """Where the values of an object or of a list lie, in the order of the text; of repeated keys the last one."""
    if body[start] == "[":
        return dict(enumerate(json_text.items(body, start)))
    found: dict[str | int, tuple[int, int]] = {}
    for member in json_text.members(body, start):
        found.pop(member.key, None)
        found[member.key] = member.start, member.end
    return found


def _gaps(body: str, start: int) -> tuple[str, str]:
    """What parts two elements of an object or of a list that has one at least, and what parts a key from its value."""
    if body[start] == "[":
        spans, colon = [*json_text.items(body, start)], ""
    else:
        members = [*json_text.members(body, start)]
        spans = [(one.key_start, one.end) for one in members]
        colon = without_line_end(body[members[-1].key_end : members[-1].start])
    if len(spans) > 1:
        return body[spans[-2][1] : spans[-1][0]], colon
    return f",{body[start + 1 : spans[0][0]] or ' '}", colon


def _written(dashboard: Dashboard, panel: Panel, offset: int, value: object) -> str:
    """A value as this panel would write it where the text of a character is; on one line if that does not begin one."""
    text, style = dashboard.text, style_of(dashboard, panel)
    line = text.body.rfind("\n", 0, offset) + 1
    if style.unit is not None and not _BEGINS_A_LINE.fullmatch(text.body, line, offset):
        style = replace(style, unit=None, comma=", ")
    return replace(style, base=text.indentation(offset)).rendered(value)
