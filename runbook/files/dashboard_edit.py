"""A decided change of a dashboard, carried out on its text, and the proof that nothing else changed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook.files import json_text
from runbook.files.dashboard_file import RESTORE, Dashboard, Panel
from runbook.files.dashboard_style import Style
from runbook.files.needed_fields import Repair
from runbook.files.panel_repair import repair_splice
from runbook.files.text import Splice, Text, spliced


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Panels to insert after the panel at index `after`; replacements, new rows (`gridPos.y`) and repairs by index."""

    after: int
    inserted: tuple[dict[str, Any], ...]
    replaced: Mapping[int, dict[str, Any]]
    moved: Mapping[int, int]
    repaired: Mapping[int, tuple[Repair, ...]] = field(default_factory=dict)


def edited(dashboard: Dashboard, edit: Edit, style: Style) -> str:
    """The text with the edit spliced in; raises DocumentError if it would then say anything but what was meant."""
    text = dashboard.text
    body = spliced(text.body, _splices(dashboard, edit, style))
    if not _says(body, _intended(text, edit)):
        raise text.refusal(
            "the file is written in a way that cannot be edited exactly; it was left as it is",
            fix=RESTORE,
        )
    return body


def _says(body: str, intended: object) -> bool:
    """Whether a text is JSON and says exactly that."""
    try:
        return bool(json_text.exact(body) == intended)
    except ValueError:
        return False


def _splices(dashboard: Dashboard, edit: Edit, style: Style) -> Iterator[Splice]:
    panels, body = dashboard.panels, dashboard.text.body
    for index, panel in edit.replaced.items():
        yield Splice(panels[index].start, panels[index].end, style.rendered(panel))
    for index, row in edit.moved.items():
        yield _row_splice(body, panels[index], row)
    for index, repairs in edit.repaired.items():
        yield from (repair_splice(dashboard, panels[index], repair) for repair in repairs)
    end = panels[edit.after].end
    yield Splice(end, end, "".join(style.between + style.rendered(panel) for panel in edit.inserted))


def _row_splice(body: str, panel: Panel, row: int) -> Splice:
    """Only the digits of `gridPos.y`; a panel that has a box has both members."""
    grid = next(found for found in reversed([*json_text.members(body, panel.start)]) if found.key == "gridPos")
    y = next(found for found in reversed([*json_text.members(body, grid.start)]) if found.key == "y")
    return Splice(y.start, y.end, str(row))


def _intended(text: Text, edit: Edit) -> Any:  # noqa: ANN401 - any JSON value
    """What the edited text must say, derived from what the text says, never from the splices."""
    root = json_text.meaning(text)
    panels: list[Any] = []
    for index, panel in enumerate(dict(root)["panels"]):
        if index in edit.replaced:
            panels.append(_exact(edit.replaced[index]))
        elif index in edit.moved:
            panels.append(_with(panel, ("gridPos", "y"), edit.moved[index]))
        else:
            for path, value in edit.repaired.get(index, ()):
                panel = _with(panel, path, _exact(value))  # noqa: PLW2901 - the panel as it becomes
            panels.append(panel)
        if index == edit.after:
            panels += [_exact(inserted) for inserted in edit.inserted]
    return _with(root, ("panels",), panels)


def _with(found: Any, path: tuple[str | int, ...], value: object) -> Any:  # noqa: ANN401 - any JSON value
    """A value with another one at a path; of repeated keys the last one, which is the one that counts."""
    if not path:
        return value
    key, *rest = path
    if isinstance(key, int):
        return [*found[:key], _with(found[key] if key < len(found) else None, (*rest,), value), *found[key + 1 :]]
    places = [index for index, (name, _) in enumerate(found) if name == key]
    at = places[-1] if places else len(found)
    new = (key, _with(found[at][1] if places else None, (*rest,), value))
    return (*found[:at], new, *found[at + 1 :])


def _exact(value: object) -> Any:  # noqa: ANN401 - any JSON value
    return json_text.exact(json.dumps(value))
