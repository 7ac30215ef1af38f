"""How a dashboard file writes its JSON, learnt from one panel, so that new panels look like their neighbours."""

import json
from dataclasses import dataclass

from runbook.files import json_text
from runbook.files.dashboard_file import Dashboard, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """`base` is the panel's own indentation, `unit` one level more (None: all on one line)."""

    newline: str
    base: str
    unit: str | None
    comma: str
    colon: str
    between: str

    def rendered(self, value: object) -> str:
        """A panel, or a value in one, as this file would write it; the first line is not indented."""
        text = json.dumps(value, indent=self.unit, separators=(self.comma, self.colon), ensure_ascii=False)
        return text.replace("\n", self.newline + self.base)


def style_of(dashboard: Dashboard, panel: Panel) -> Style:
    """The style of a panel that has an id and a place, so two members at least, and of the gap beside it."""
    text, body = dashboard.text, dashboard.text.body
    first, *_ = json_text.members(body, panel.start)
    opening = body[panel.start + 1 : body.index('"', panel.start)]
    on_lines = "\n" in opening
    base = text.indentation(panel.end - 1)
    return Style(
        newline=text.newline(panel.start),
        base=base,
        unit=opening.rpartition("\n")[2].removeprefix(base) if on_lines else None,
        comma="," if on_lines else without_line_end(body[first.end : body.index('"', first.end)]),
        colon=without_line_end(body[first.key_end : first.start]),
        between=_between(dashboard, panel),
    )


def without_line_end(gap: str) -> str:
    """A gap such as `: ` or `, `; one that is broken over lines becomes the common form."""
    return gap if "\n" not in gap else f"{gap.strip()} "


def _between(dashboard: Dashboard, panel: Panel) -> str:
    """The comma and white space between two panels, as found on either side; alone in the list, as before it."""
    body, panels, index = dashboard.text.body, dashboard.panels, panel.index
    if index + 1 < len(panels):
        return body[panel.end : panels[index + 1].start]
    if index > 0:
        return body[panels[index - 1].end : panel.start]
    return "," + body[body.rindex("[", 0, panel.start) + 1 : panel.start]
