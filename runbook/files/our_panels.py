"""Which panels of a dashboard are ours, whatever id they have, and which id each of ours has or gets here.

A panel is ours by title and first expression: what stays when somebody pastes it in another form, or Grafana gives it
another number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runbook.files.dashboard_file import Dashboard, Panel, panel_id
from runbook.files.desired import WantedPanels
from runbook.files.needed_fields import choices, unmet, unspaced


@dataclass(frozen=True, slots=True, kw_only=True)
class OurPanel:
    """One wanted panel with the id it has here, the id that the runbook gives it, and where it is if it is there."""

    panel: dict[str, Any]
    runbook_id: int
    found: Panel | None

    @property
    def is_renumbered(self) -> bool:
        """Whether it has another id here than in the runbook."""
        return bool(self.panel["id"] != self.runbook_id)


def our_panels(dashboard: Dashboard, wanted: tuple[dict[str, Any], ...], *, renumber: bool) -> tuple[OurPanel, ...]:
    """Find each wanted panel, or an id for it; raises DocumentError where another panel has its id.

    With `renumber` it then gets the highest id plus one instead. Raises DocumentError too if a panel of ours is inside
    a row, or shares its id with another panel.
    """
    found = [_found(dashboard, panel) for panel in wanted]
    taken = [*dashboard.ids]
    ours: list[OurPanel] = []
    for panel, at in zip(wanted, found, strict=True):
        number = at.id if at and at.id is not None else _free_id(dashboard, panel["id"], taken, renumber=renumber)
        taken.append(number)
        ours.append(OurPanel(panel={**panel, "id": number}, runbook_id=panel["id"], found=at))
    return tuple(ours)


def copies(dashboard: Dashboard, ours: tuple[OurPanel, ...]) -> Iterator[Panel]:
    """Panels that show the same as one of ours, beside it."""
    indexes = {one.found.index for one in ours if one.found}
    names = [_names(one.panel) for one in ours]
    for panel in dashboard.panels:
        if panel.index not in indexes and _names(panel.fields) in names:
            yield panel


def present(panels: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """The panels that play the wanted ones, by the runbook's id: ours under whatever id, else whatever has that id."""
    listed = [*panels]
    playing = {}
    for one in wanted:
        numbered = [panel for panel in listed if panel_id(panel) == one["id"]]
        same = [panel for panel in listed if _names(panel) == _names(one)]
        exact = [panel for panel in same if panel_id(panel) == one["id"]]
        if found := exact or same or numbered:
            playing[one["id"]] = found[0]
    return playing


def lacking(panels: Iterable[Mapping[str, Any]], wanted: WantedPanels) -> dict[int, tuple[str, ...]]:
    """By the runbook's id, the fields in which the panels that play the wanted ones are not as the criteria need it.

    A panel that still is the runbook's own, letter by letter, is what the criteria speak of, whatever it lacks.
    """
    found: dict[int, tuple[str, ...]] = {}
    for number, panel in present(panels, wanted.panels).items():
        own = [one for one in wanted.forms if one["id"] == number and not choices(panel, one)]
        (needed,) = (one for one in own[:1] or wanted.panels if one["id"] == number)
        repairs = unmet(panel, {**needed, "datasource": wanted.datasource.reference}, wanted.datasource)
        if repairs:
            found[number] = tuple(repair.name for repair in repairs)
    return found


def _found(dashboard: Dashboard, wanted: Mapping[str, Any]) -> Panel | None:
    """The panel that is the wanted one, best under its own id."""
    for hidden, row in dashboard.in_rows:
        if _names(hidden) == _names(wanted):
            raise dashboard.hidden(hidden.get("id", wanted["id"]), row)
    same = [panel for panel in dashboard.panels if _names(panel.fields) == _names(wanted)]
    exact = [panel for panel in same if panel.id == wanted["id"]]
    found = next(iter(exact or same), None)
    if found and found.id is not None:
        dashboard.only(found.id)
    return found


def _free_id(dashboard: Dashboard, number: int, taken: list[int], *, renumber: bool) -> int:
    """The wanted id if no panel has it; else, if that is allowed, the highest of all plus one."""
    if number not in taken:
        return number
    free = max([*taken, number]) + 1
    if renumber:
        return free
    panel, title = dashboard.holder(number)
    raise dashboard.text.refusal(
        f"id {number} is taken by another panel, {title!r}",
        offset=panel.start,
        fix=f"give that panel another id ({free} is free), or run again with --renumber: ours then gets {free}",
    )


def _names(panel: Mapping[str, Any]) -> tuple[object, str]:
    """Title and first expression: what makes a panel ours in whatever form it was pasted."""
    targets = panel.get("targets")
    first = targets[0] if isinstance(targets, list) and targets else None
    expression = first.get("expr") if isinstance(first, dict) else None
    return panel.get("title"), unspaced(str(expression))
