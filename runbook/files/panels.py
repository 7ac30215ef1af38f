"""Panels 20 and 21 into a dashboard file: located by parsing, spliced as text, parsed again and compared."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runbook.files.compare import Datasource, differing_fields
from runbook.files.dashboard_edit import Edit, edited
from runbook.files.dashboard_file import RESTORE, Box, Dashboard, Panel, dashboard_file
from runbook.files.dashboard_style import style_of
from runbook.files.desired import WantedPanels
from runbook.files.file_change import FileChange
from runbook.files.layout import Layout, laid_out
from runbook.files.our_panels import OurPanel, copies, our_panels
from runbook.files.text import decoded

ANCHOR_ID = 19


def plan_panels(
    raw: bytes, wanted: WantedPanels, *, path: Path, strip_bom: bool = False, renumber: bool = False
) -> FileChange:
    """FileChange the insertion right after panel 19 and the move of the panels below; pure, nothing is written.

    Only the new panels and the digits of `gridPos.y` change; every other byte stays. Panels that are there
    already, under whatever id, are left alone if every wanted field has the wanted value, and replaced in place if they
    differ. Raises DocumentError for a file that is no classic dashboard, without panel 19, or with another panel under
    one of the ids; with `renumber` ours then gets the highest id plus one.
    """
    text = decoded(raw, path=path)
    dashboard = dashboard_file(text)
    anchor = _anchor(dashboard)
    ours = our_panels(dashboard, wanted.panels, renumber=renumber)
    edit = _edit(dashboard, anchor, ours, wanted.datasource)
    body = edited(dashboard, edit, style_of(dashboard, anchor))
    return FileChange(
        kind="dashboard",
        path=path,
        before=raw,
        after=text.encoded(body, strip_bom=strip_bom),
        reason=_reason(dashboard, edit, ours, bom_goes=text.bom and strip_bom),
        notes=tuple(_notes(dashboard, ours, bom_stays=text.bom and not strip_bom)),
    )


def as_numbered(raw: bytes, wanted: WantedPanels, *, path: Path) -> WantedPanels:
    """The wanted panels with the ids that they have in a file: what Grafana serves of it is compared with these."""
    dashboard = dashboard_file(decoded(raw, path=path))
    panels = tuple(one.panel for one in our_panels(dashboard, wanted.panels, renumber=True))
    return replace(wanted, panels=panels)


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


def _edit(dashboard: Dashboard, anchor: Panel, ours: tuple[OurPanel, ...], datasource: Datasource) -> Edit:
    """Decide what changes: facts in, decision out."""
    layout = _layout(dashboard, anchor, ours)
    placed = [{**one.panel, "gridPos": layout.ours[one.runbook_id]._asdict()} for one in ours]
    after, *_ = [one.found.index for one in ours[:1] if one.found] or [anchor.index]
    return Edit(
        after=after,
        inserted=tuple(panel for panel, one in zip(placed, ours, strict=True) if one.found is None),
        replaced={
            one.found.index: panel
            for panel, one in zip(placed, ours, strict=True)
            if one.found
            if one.found.box is None or differing_fields(one.found.fields, panel, datasource)
        },
        moved=layout.moved,
    )


def _layout(dashboard: Dashboard, anchor: Panel, ours: tuple[OurPanel, ...]) -> Layout:
    mine = {one.found.index for one in ours if one.found}
    return laid_out(
        wanted={one.runbook_id: Box(**one.panel["gridPos"]) for one in ours},
        present={one.runbook_id: one.found.box for one in ours if one.found and one.found.box},
        others={panel.index: panel.box for panel in dashboard.panels if panel.box and panel.index not in mine},
        row=anchor.box.bottom if anchor.box else 0,
    )


def _reason(dashboard: Dashboard, edit: Edit, ours: tuple[OurPanel, ...], *, bom_goes: bool) -> str:
    """One sentence: what changes, or why nothing does."""
    parts = [f"panel {panel['id']} inserted at y={panel['gridPos']['y']}" for panel in edit.inserted]
    parts += [f"panel {panel['id']} replaced by the wanted form" for panel in edit.replaced.values()]
    for index, row in edit.moved.items():
        panel = dashboard.panels[index]
        parts.append(f"{panel.name} moved from y={panel.box.y if panel.box else 0} to y={row}")
    if bom_goes:
        parts.append("byte order mark removed")
    ids = " and ".join(str(one.panel["id"]) for one in ours)
    return "; ".join(parts) or f"panels {ids} already match"


def _notes(dashboard: Dashboard, ours: tuple[OurPanel, ...], *, bom_stays: bool) -> Iterator[str]:
    """What the operator should know although it stops nothing."""
    text = dashboard.text
    if bom_stays:
        yield (
            f"{text.path} begins with a byte order mark, which Grafana's JSON decoder may refuse: "
            "--strip-bom removes it"
        )
    for one in ours:
        if one.is_renumbered:
            where = f"{text.where(one.found.start)}: " if one.found else ""
            yield f"{where}panel {one.runbook_id} of the runbook has the id {one.panel['id']} here"
    for panel in copies(dashboard, ours):
        yield (
            f"{text.where(panel.start)}: panel {panel.id} shows the same as ours under another id; "
            "remove it if it is a copy"
        )
    for panel in dashboard.panels:
        if panel.fields.get("type") == "alert-list":
            yield (
                f'{text.where(panel.start)}: panel {panel.title!r} has the type "alert-list"; '
                'Grafana\'s own name is "alertlist"'
            )
        if panel.box is None:
            yield (
                f"{text.where(panel.start)}: {panel.name} has no gridPos of whole numbers; "
                "it was not moved: Grafana chooses its place"
            )
