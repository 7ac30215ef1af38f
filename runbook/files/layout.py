"""Where panels go on the grid, as pure geometry: room is made so that no two panels ever overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook.files.dashboard_file import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Boxes of the wanted panels by id, and the new y of every panel that had to move, by its index."""

    ours: Mapping[int, Box]
    moved: Mapping[int, int]


def laid_out(wanted: Mapping[int, Box], present: Mapping[int, Box], others: Mapping[int, Box], row: int) -> Layout:
    """Place the wanted panels that are not present, at `row` or beside those that are, and make room.

    Present panels stay where the operator has them. Missing ones go below everything that reaches down from
    above. If something at or below is in the way, all that is at or below moves down together, by the height
    that is needed: their order and distances stay. If the room is free already, nothing moves.
    """
    boxes = _with_room([*present.values()], others)
    if present:
        row = min(box.y for box in present.values())
    missing = {panel: box._replace(y=row) for panel, box in wanted.items() if panel not in present}
    ours = {**present, **_below_all([*present.values()], [*boxes.values()], missing)}
    boxes = _with_room([*ours.values()], boxes)
    moved = {index: box.y for index, box in boxes.items() if box.y != others[index].y}
    return Layout(ours=ours, moved=moved)


def _below_all(present: Sequence[Box], others: Sequence[Box], missing: dict[int, Box]) -> dict[int, Box]:
    """The missing panels, side by side, low enough that nothing from above, nor a present one, reaches them."""
    while missing:
        row = next(iter(missing.values())).y
        obstacles = [*present, *(other for other in others if other.y < row)]
        hit = [box.bottom for box in obstacles if any(box.overlaps(own) for own in missing.values())]
        if not hit:
            break
        missing = {panel: box._replace(y=max(hit)) for panel, box in missing.items()}
    return missing


def _with_room(ours: Sequence[Box], others: Mapping[int, Box]) -> Mapping[int, Box]:
    """The other panels moved down, again as long as one that moved lies on one of ours."""
    while crowded := [own for own in ours if any(_in_the_way(box, own) for box in others.values())]:
        top = min(own.y for own in crowded)
        height = max(own.bottom for own in crowded) - top
        others = {index: box._replace(y=box.y + height) if box.y >= top else box for index, box in others.items()}
    return others


def _in_the_way(other: Box, own: Box) -> bool:
    return other.y >= own.y and other.overlaps(own)
