"""Panels 20 and 21 into a dashboard file: located by parsing, spliced as text, parsed again and compared."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runbook.files.compare import differing_fields
from runbook.files.dashboard_edit import Edit, edited
from runbook.files.dashboard_file import RESTORE, Box, Dashboard, Panel, dashboard_file
from runbook.files.dashboard_style import style_of
from runbook.files.desired import WantedPanels
from runbook.files.file_change import FileChange
from runbook.files.layout import Layout, laid_out
from runbook.files.needed_fields import Repair, choices, repaired, repairs, unmet
from runbook.files.our_panels import OurPanel, copies, our_panels
from runbook.files.text import decoded
from runbook.invocation import inv
from runbook.wording import pasteable

ANCHOR_ID = 19
_SHOWN = 8  # so many kept fields are named


def plan_panels(
    raw: bytes, wanted: WantedPanels, *, path: Path, strip_bom: bool = False, renumber: bool = False
) -> FileChange:
    """FileChange the insertion right after panel 19 and the move of the panels below; pure, nothing is written.

    Only the new panels and the digits of `gridPos.y` change; every other byte stays. Of panels that are there
    already, under whatever id, only what the success criteria need is repaired; one that still is the runbook's own, or
    that `wanted.demand` wants otherwise, is replaced in place if it differs. Raises DocumentError for a file that is no
    classic dashboard, without panel 19, or with another panel under one of the ids; with `renumber` ours then gets the
    highest id plus one.
    """
    text = decoded(raw, path=path)
    dashboard = dashboard_file(text)
    anchor = _anchor(dashboard)
    ours = our_panels(dashboard, wanted.panels, renumber=renumber)
    wanted = replace(wanted, datasource=wanted.datasource.by_variables(dashboard.templating))
    edit = _edit(dashboard, anchor, ours, wanted)
    body = edited(dashboard, edit, style_of(dashboard, anchor))
    return FileChange(
        kind="dashboard",
        path=path,
        before=raw,
        after=text.encoded(body, strip_bom=strip_bom),
        reason=_reason(dashboard, edit, ours, bom_goes=text.bom and strip_bom),
        notes=tuple(_notes(dashboard, ours, edit, wanted, bom_stays=text.bom and not strip_bom)),
    )


def as_numbered(raw: bytes, wanted: WantedPanels, *, path: Path) -> WantedPanels:
    """The wanted panels with the ids that a file has and the fields that it keeps: what is to be served of it."""
    dashboard = dashboard_file(decoded(raw, path=path))
    datasource = wanted.datasource.by_variables(dashboard.templating)
    ours = our_panels(dashboard, wanted.panels, renumber=True)
    kept = {
        one.panel["id"]: frozenset(differing_fields(one.found.fields, one.panel, datasource))
        for one in ours
        if one.found
    }
    return replace(wanted, panels=tuple(one.panel for one in ours), datasource=datasource, kept=kept)


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


def _edit(dashboard: Dashboard, anchor: Panel, ours: tuple[OurPanel, ...], wanted: WantedPanels) -> Edit:
    """Decide what changes: facts in, decision out."""
    layout = _layout(dashboard, anchor, ours)
    placed = [{**one.panel, "gridPos": layout.ours[one.runbook_id]._asdict()} for one in ours]
    after, *_ = [one.found.index for one in ours[:1] if one.found] or [anchor.index]
    found = [(one.found, panel) for panel, one in zip(placed, ours, strict=True) if one.found]
    replaced = {at.index: panel for at, panel in found if _is_replaced(at, panel, wanted)}
    needed = {at.index: tuple(_repairs(at, panel, wanted)) for at, panel in found if at.index not in replaced}
    return Edit(
        after=after,
        inserted=tuple(panel for panel, one in zip(placed, ours, strict=True) if one.found is None),
        replaced=replaced,
        moved=layout.moved,
        repaired={index: one for index, one in needed.items() if one and wanted.demand == "needed"},
    )


def _is_replaced(found: Panel, panel: dict[str, Any], wanted: WantedPanels) -> bool:
    """Whether the whole of a panel of ours is written again: as demanded, or because nobody has chosen its form."""
    differs = bool(found.box is None or differing_fields(found.fields, panel, wanted.datasource))
    if wanted.demand == "whole":
        return differs or _form(found.fields, "datasource") != _form(panel, "datasource")
    is_untouched = any(_form(found.fields) == _form(form) for form in wanted.forms)
    return differs and (wanted.demand == "fields" or is_untouched)


def _form(panel: Mapping[str, Any], *besides: str) -> dict[str, Any]:
    """What a panel says wherever it is, and under whatever id."""
    return {key: value for key, value in panel.items() if key not in {"id", "gridPos", *besides}}


def _repairs(found: Panel, panel: dict[str, Any], wanted: WantedPanels) -> Iterator[Repair]:
    """What a panel must say otherwise, its place included if it has none."""
    yield from unmet(found.fields, panel, wanted.datasource)
    if found.box is None:
        yield from repairs(found.fields.get("gridPos"), panel["gridPos"], ("gridPos",))


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
    for one in ours:
        names = ", ".join(repair.name for repair in edit.repaired.get(one.found.index, ())) if one.found else ""
        parts += [f"panel {one.panel['id']} repaired: {names}"] if names else []
    for index, row in edit.moved.items():
        panel = dashboard.panels[index]
        parts.append(f"{panel.name} moved from y={panel.box.y if panel.box else 0} to y={row}")
    if bom_goes:
        parts.append("byte order mark removed")
    ids = " and ".join(str(one.panel["id"]) for one in ours)
    return "; ".join(parts) or f"panels {ids} already match"


def _notes(
    dashboard: Dashboard, ours: tuple[OurPanel, ...], edit: Edit, wanted: WantedPanels, *, bom_stays: bool
) -> Iterator[str]:
    """What the operator should know although it stops nothing."""
    text = dashboard.text
    if bom_stays:
        yield (
            f"{pasteable(text.path)} begins with a byte order mark, which Grafana's JSON decoder may refuse: "
            "--strip-bom removes it"
        )
    for one in ours:
        if one.is_renumbered:
            where = f"{text.where(one.found.start)}: " if one.found else ""
            yield f"{where}panel {one.runbook_id} of the runbook has the id {one.panel['id']} here"
        if one.found and one.found.index not in edit.replaced:
            stays = choices(repaired(one.found.fields, one.panel, wanted.datasource), one.panel)
            yield from _kept(text.where(one.found.start), one.panel["id"], stays)
    for panel in copies(dashboard, ours):
        yield (
            f"{text.where(panel.start)}: panel {panel.id} shows the same as ours under another id; "
            "remove it if it is a copy"
        )
    for panel in dashboard.panels:
        if isinstance(panel.fields.get("id"), str) and panel.id is not None and panel.index not in edit.repaired:
            where = text.where(panel.start)
            yield f'{where}: the id "{panel.id}" is written as a string; Grafana knows panels by numbers'
        if panel.fields.get("type") == "alert-list":
            yield (
                f'{text.where(panel.start)}: panel {panel.title!r} has the type "alert-list"; '
                'Grafana\'s own name is "alertlist"'
            )
        if panel.box is None and panel.index not in {*edit.replaced, *edit.repaired}:
            yield (
                f"{text.where(panel.start)}: {panel.name} has no gridPos of whole numbers; "
                "it was not moved: Grafana chooses its place"
            )


def _kept(where: str, number: int, fields: tuple[str, ...]) -> Iterator[str]:
    """A note on what somebody chose for a panel of ours, and what stays."""
    if fields:
        more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
        shown = ", ".join(fields[:_SHOWN]) + more
        yield f"{where}: panel {number} kept: {shown} ({inv('setup --reset-panels')} gives our form whole)"
