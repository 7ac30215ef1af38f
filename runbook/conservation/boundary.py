"""A boundary of the flow: what entered it must have left it. Integers per topic and tenant, or why they are unknown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from runbook.model import Sight

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What entered and what left within one stretch of time. `tenant_id` is empty where both sides know none."""

    topic: str
    tenant_id: str
    entered: int
    left: int

    @property
    def difference(self) -> int:
        """Below 0: so many are missing; above 0: so many came out that never went in."""
        return self.left - self.entered


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """One boundary, from `since` to `until` (UTC, as the samples say).

    `why` is not empty where it could not be checked, `quiet` where nothing can have crossed it in that time that is
    known. `places` say where what is missing, or too much, was seen, as far
    as that is known. `notes` are what limits the claim.
    """

    name: str
    flows: tuple[Flow, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    why: str = ""
    quiet: str = ""
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Sight:
        """Failed where any flow differs; not checked where it could not be read."""
        if any(flow.difference for flow in self.flows):
            return "failed"
        return "not_checked" if self.why else "ok"

    @property
    def is_exercised(self) -> bool:
        """Whether anything went through: a boundary that nothing crossed proves nothing."""
        return any(flow.entered or flow.left for flow in self.flows)

    def told(self) -> str:
        """Return the integers in one line, as verdict and evidence show them."""
        entered, left = (sum(getattr(flow, side) for flow in self.flows) for side in ("entered", "left"))
        missing = -sum(flow.difference for flow in self.flows if flow.difference < 0)
        extra = sum(flow.difference for flow in self.flows if flow.difference > 0)
        parts = [f"{entered} in, {left} out"]
        if missing:
            parts.append(f"{missing} missing{_shown(self.places)}")
        if extra:
            parts.append(f"{extra} too many{'' if missing else _shown(self.places)}")
        return ", ".join(parts)


def flows(entered: Mapping[tuple[str, str], int], left: Mapping[tuple[str, str], int]) -> tuple[Flow, ...]:
    """Return one flow per topic and tenant of two counts, in their order."""
    return tuple(
        Flow(topic=topic, tenant_id=tenant, entered=entered.get((topic, tenant), 0), left=left.get((topic, tenant), 0))
        for topic, tenant in sorted({*entered, *left})
    )


def added(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """Return one flow per topic and tenant, in their order."""
    totals: dict[tuple[str, str], list[int]] = {}
    for flow in flows:
        total = totals.setdefault((flow.topic, flow.tenant_id), [0, 0])
        total[0] += flow.entered
        total[1] += flow.left
    return tuple(
        Flow(topic=topic, tenant_id=tenant, entered=entered, left=left)
        for (topic, tenant), (entered, left) in sorted(totals.items())
    )


def _shown(places: tuple[str, ...]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f" at {', '.join(places[:_SHOWN])}{more}"
