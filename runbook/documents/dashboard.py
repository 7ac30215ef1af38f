"""Panels 20 and 21 into a dashboard file: located by parsing, spliced as text, parsed again and compared."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runbook.documents.compare import differing_fields
from runbook.documents.desired import WantedPanels
from runbook.documents.edit import Edit, edited
from runbook.documents.layout import Layout, laid_out
from runbook.documents.located import RESTORE, Box, Dashboard, Panel, located
from runbook.documents.plan import Plan
from runbook.documents.style import style_of
from runbook.documents.text import decoded

ANCHOR_ID = 19


def plan_panels(raw: bytes, wanted: WantedPanels, *, source: str, strip_bom: bool = False) -> Plan:
    """Plan the insertion right after panel 19 and the move of the panels below; pure, nothing is written.

    Only the new panels and the digits of `gridPos.y` change; every other byte stays. Panels that are there
    already are left alone if every wanted field is as wanted, and replaced in place if it is ours in another
    form. Raises DocumentError for a file that the runbook does not speak of (see `located`), without panel 19,
    or with another panel under one of the ids.
    """
    text = decoded(raw, source=source)
    dashboard = located(text)
    anchor = _anchor(dashboard)
    edit = _edit(dashboard, anchor, wanted)
    body = edited(dashboard, edit, style_of(dashboard, anchor))
    return Plan(
        source=source,
        before=raw,
        after=text.encoded(body, strip_bom=strip_bom),
        reason=_reason(dashboard, edit, wanted, bom_goes=text.bom and strip_bom),
        notes=tuple(_notes(dashboard, wanted, bom_stays=text.bom and not strip_bom)),
    )


def panels_of(raw: bytes, ids: Iterable[int], *, source: str) -> tuple[dict[str, Any], ...]:
    """The panels of these ids as a file holds them; those that are missing are left out."""
    dashboard = located(decoded(raw, source=source))
    found = [dashboard.only(panel_id) for panel_id in ids]
    return tuple(panel.fields for panel in found if panel is not None)


def _anchor(dashboard: Dashboard) -> Panel:
    anchor = dashboard.only(ANCHOR_ID)
    if anchor is None:
        raise dashboard.text.refusal(
            f"there is no panel {ANCHOR_ID}, after which the new panels belong",
            fix="give the right dashboard, or restore panel 19 from version control",
        )
    if anchor.box is None:
        raise dashboard.text.refusal(
            f"panel {ANCHOR_ID} has no gridPos of whole numbers x, y, w, h",
            offset=anchor.start,
            fix=RESTORE,
        )
    return anchor


def _edit(dashboard: Dashboard, anchor: Panel, wanted: WantedPanels) -> Edit:
    """Decide what changes: facts in, decision out."""
    present = {panel["id"]: found for panel in wanted.panels if (found := _ours(dashboard, panel))}
    layout = _layout(dashboard, anchor, present, wanted)
    placed = {panel["id"]: _placed(panel, present.get(panel["id"]), layout) for panel in wanted.panels}
    return Edit(
        after=present.get(wanted.panels[0]["id"], anchor).index,
        inserted=tuple(panel for panel_id, panel in placed.items() if panel_id not in present),
        replaced={
            found.index: placed[panel_id]
            for panel_id, found in present.items()
            if found.box is None or differing_fields(found.fields, placed[panel_id], wanted.datasource)
        },
        moved=layout.moved,
    )


def _ours(dashboard: Dashboard, wanted: Mapping[str, Any]) -> Panel | None:
    """The panel with the wanted id if it is ours by title and expression; None if the id is free."""
    found = dashboard.only(wanted["id"])
    if found is None or _names(found.fields) == _names(wanted):
        return found
    free = max([panel.id or 0 for panel in dashboard.panels] + [wanted["id"]]) + 1
    raise dashboard.text.refusal(
        f"id {wanted['id']} is taken by another panel, {found.title!r}",
        offset=found.start,
        fix=f"give that panel another id ({free} is free), then run the command again",
    )


def _names(panel: Mapping[str, Any]) -> tuple[object, object]:
    """Title and first expression: what makes a panel ours in whatever form it was pasted."""
    targets = panel.get("targets")
    first = targets[0] if isinstance(targets, list) and targets else None
    expression = first.get("expr") if isinstance(first, dict) else None
    return panel.get("title"), " ".join(str(expression).split())


def _layout(dashboard: Dashboard, anchor: Panel, present: Mapping[int, Panel], wanted: WantedPanels) -> Layout:
    mine = {panel.index for panel in present.values()}
    return laid_out(
        wanted={panel["id"]: Box(**panel["gridPos"]) for panel in wanted.panels},
        present={panel_id: panel.box for panel_id, panel in present.items() if panel.box},
        others={panel.index: panel.box for panel in dashboard.panels if panel.box and panel.index not in mine},
        row=anchor.box.bottom if anchor.box else 0,
    )


def _placed(panel: dict[str, Any], found: Panel | None, layout: Layout) -> dict[str, Any]:
    """A wanted panel at its place: the one it has in the file, else the one that the layout gives it."""
    at_home = found is not None and found.box is not None
    grid = found.fields["gridPos"] if found and at_home else layout.ours[panel["id"]]._asdict()
    return {**panel, "gridPos": grid}


def _reason(dashboard: Dashboard, edit: Edit, wanted: WantedPanels, *, bom_goes: bool) -> str:
    """One sentence: what changes, or why nothing does."""
    parts = [f"panel {panel['id']} inserted at y={panel['gridPos']['y']}" for panel in edit.inserted]
    parts += [f"panel {panel['id']} replaced by the wanted form" for panel in edit.replaced.values()]
    for index, row in edit.moved.items():
        panel = dashboard.panels[index]
        name = repr(panel.title) if panel.title else f"panel {panel.id}"
        parts.append(f"{name} moved from y={panel.fields['gridPos']['y']} to y={row}")
    if bom_goes:
        parts.append("byte order mark removed")
    ids = " and ".join(str(panel["id"]) for panel in wanted.panels)
    return "; ".join(parts) or f"panels {ids} already match"


def _notes(dashboard: Dashboard, wanted: WantedPanels, *, bom_stays: bool) -> Iterator[str]:
    """What the operator should know although it stops nothing."""
    text = dashboard.text
    if bom_stays:
        yield (
            f"{text.source} begins with a byte order mark, which Grafana's JSON decoder may refuse: "
            "--strip-bom removes it"
        )
    ids = {panel["id"] for panel in wanted.panels}
    names = [_names(panel) for panel in wanted.panels]
    for panel in dashboard.panels:
        if panel.fields.get("type") == "alert-list":
            yield (
                f'{text.where(panel.start)}: panel {panel.title!r} has the type "alert-list"; '
                'Grafana\'s own name is "alertlist"'
            )
        if panel.id not in ids and _names(panel.fields) in names:
            yield (
                f"{text.where(panel.start)}: panel {panel.id} shows the same as ours under another id; "
                "remove it if it is a copy"
            )
