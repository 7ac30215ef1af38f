"""Sink to Prometheus where several sinks are one instance: a load balancer is scraped, or two targets have one name.

Each scrape shows one of them, so the counters jump between their values and no panel is true.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from runbook.conservation.boundary import Boundary, Flow
from runbook.conservation.snapshot import Snapshot
from runbook.diagnosis.boundaries.window import Scrapes
from runbook.platforms import utc
from runbook.wording import moment

_LOOKS: Final = 8
"""The newest scrapes in which two sinks take turns: one that was replaced does not come back."""


def taking_turns(scrapes: Scrapes, *, name: str) -> Boundary | None:
    """Return what several sinks have counted together against a scrape that shows one; None if there are none."""
    for instance, of_it in scrapes.items():
        together = _newest_of_each(of_it[-_LOOKS:])
        for shown in reversed(together):
            flows = _flows(together, shown)
            if any(flow.difference for flow in flows):
                starts = ", ".join(moment(utc(one.started_s or 0)) for one in together)
                note = f"{len(together)} sinks take turns as the instance {instance}: they were started at {starts}"
                return Boundary(name=name, flows=flows, until=shown.at, places=(instance,), notes=(note,))
    return None


def _flows(together: Sequence[Snapshot], shown: Snapshot) -> tuple[Flow, ...]:
    return tuple(
        Flow(
            topic=topic,
            tenant_id=tenant,
            entered=round(sum(one.count(topic, tenant) for one in together)),
            left=round(shown.count(topic, tenant)),
        )
        for topic, tenant in sorted({series for one in together for series in one.series})
    )


def _newest_of_each(scrapes: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the newest scrape of each process in order of time, if one came back after another; else none."""
    told = [one for one in scrapes if one.started_s is not None]
    changes = sum(one.started_s != later.started_s for one, later in pairwise(told))
    newest = sorted({one.started_s: one for one in told}.values(), key=lambda one: one.at)
    return newest if changes >= len(newest) > 1 else []
