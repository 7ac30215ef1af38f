"""Where panels go on the grid, as pure geometry: room is made so that no two panels ever overlap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook.documents.located import Box


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
    if present:
        row = min(box.y for box in present.values())
    missing = {panel: box._replace(y=row) for panel, box in wanted.items() if panel not in present}
    ours = {**present, **_below_all([*present.values()], [*others.values()], missing)}
    return Layout(ours=ours, moved=_moved([*ours.values()], others))


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


def _moved(ours: Sequence[Box], others: Mapping[int, Box]) -> dict[int, int]:
    crowded = [own for own in ours if any(other.overlaps(own) and other.y >= own.y for other in others.values())]
    if not crowded:
        return {}
    top = min(own.y for own in crowded)
    height = max(own.bottom for own in crowded) - top
    return {index: other.y + height for index, other in others.items() if other.y >= top}
