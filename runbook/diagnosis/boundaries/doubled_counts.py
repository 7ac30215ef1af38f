"""Sink to Prometheus where one sink is there more than once: a panel adds up whatever has the name of the counter."""

from collections.abc import Mapping
from dataclasses import dataclass

from runbook.conservation.boundary import Boundary, Flow
from runbook.conservation.snapshot import Snapshot, shown_by_target, snapshot_of_page
from runbook.diagnosis.boundaries.window import FRESH_INTERVALS, clock_ahead, interval
from runbook.diagnosis.facts import Facts

Target = tuple[str, str]
"""Job and instance."""

Shown = Mapping[Target, Snapshot]
"""What the targets show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubled:
    """One sink, and the targets that show it."""

    sink: Snapshot
    targets: Shown


def doubled(facts: Facts, page: Snapshot, *, name: str) -> Boundary | None:
    """Return what a panel counts of one sink that several targets show, also in their next scrapes; else None."""
    oldest = facts.now() + clock_ahead(facts) - FRESH_INTERVALS * interval(facts)
    shown = facts.ask_prometheus(lambda one: shown_by_target(one, since=oldest))
    if doubled_among(shown, page) is None:
        return None

    def look() -> tuple[Shown, bool]:
        now = facts.ask_prometheus(lambda one: shown_by_target(one, since=page.at + clock_ahead(facts)))
        return now, len(now) >= len(shown) or doubled_among(shown, snapshot_of_page(facts.page_now())) is None

    found = doubled_among(facts.until(look), snapshot_of_page(facts.page_now()))
    if found is None:
        return None
    return Boundary(name=name, flows=_flows(found), until=page.at, places=_places(found.targets))


def doubled_among(shown: Shown, page: Snapshot) -> Doubled | None:
    """Return the sink that more than one target shows, that of the page first; None if each sink is shown once."""
    for sink in (page, *shown.values()):
        targets = _showing(sink, shown, by_counts=sink is page)
        if len(targets) > 1:
            return Doubled(sink=sink, targets=targets)
    return None


def _showing(sink: Snapshot, shown: Shown, *, by_counts: bool) -> Shown:
    """Return the targets that show a sink: by its partitions, its very counts, or one address in two jobs.

    What a rule has recorded of no instance stands beside any of them.
    """
    counted = {one for one in sink.counts if one.value} if by_counts else set()
    found = {
        name: one
        for name, one in shown.items()
        if one.partitions & sink.partitions or (counted and name[1] and not one.positions and {*one.counts} >= counted)
    }
    addresses = {instance for _, instance in found}
    found |= {name: one for name, one in shown.items() if name[1] in addresses and one.series & sink.series}
    is_counted = any(one.counts for one in found.values())
    return found | {name: one for name, one in shown.items() if is_counted and not name[1] and one.counts}


def _flows(found: Doubled) -> tuple[Flow, ...]:
    return tuple(
        Flow(
            topic=topic,
            tenant_id=tenant,
            entered=round(found.sink.count(topic, tenant)),
            left=round(sum(one.count(topic, tenant) for one in found.targets.values())),
        )
        for topic, tenant in sorted(found.sink.series.union(*(one.series for one in found.targets.values())))
    )


def _places(targets: Shown) -> tuple[str, ...]:
    return tuple(
        f"{job} at {instance}" if instance else f"recorded series of {job or 'no job'}" for job, instance in targets
    )
