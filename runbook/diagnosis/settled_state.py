"""The state of a service over two looks: one can fall into a moment that passes, or that comes again and again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from runbook.systems.runtime import ServiceState
from runbook.waiting import Clock, watch

AGAIN_S: Final = 0.5
LOOP_S: Final = 4.0
"""Docker waits 0.1 s before it restarts, and twice as long each time that this fails, up to a minute: what waits for as
long as this has failed more than once, even where a start takes a second."""
YOUNG: Final = timedelta(seconds=15)
"""Docker counts a start as good after 10 s; what was started by its policy and is younger may end again."""


def settled_state(
    look: Callable[[], ServiceState], *, now: Callable[[], datetime], clock: Clock | None = None
) -> ServiceState:
    """Return the state that lasts; "restarting" only where it starts again and again. Raises what `look` raises.

    What runs, is not there or is unknown is looked at once, what does not run twice. What its restart policy has just
    started is watched for some seconds: its `restart_count` alone may be of last month.
    """
    seen: list[ServiceState] = []

    def again() -> tuple[ServiceState, bool]:
        seen.append(look())
        return seen[-1], _is_settled(seen, now())

    last, _ = watch(again, deadline_s=LOOP_S, every_s=AGAIN_S, clock=clock)
    between = [one for one in seen if one.status == "restarting"]
    is_up = last.status in {"running", "restarting"}
    if is_up and (_has_started_again(seen) or len(between) == len(seen)):
        return replace((between or seen)[-1], status="restarting", restart_count=last.restart_count)
    return last


def _is_settled(seen: Sequence[ServiceState], now: datetime) -> bool:
    """Say whether looking on would tell more. Between two starts its exit code is seen: that look is waited for."""
    last = seen[-1]
    if last.is_stopped or last.status == "paused":
        return len(seen) > 1 and seen[-2].status == last.status
    between = any(one.status == "restarting" for one in seen)
    return between and _has_started_again(seen) if between or _is_young(last, now) else True


def _has_started_again(seen: Sequence[ServiceState]) -> bool:
    return seen[-1].restart_count > seen[0].restart_count


def _is_young(state: ServiceState, now: datetime) -> bool:
    """Say whether its restart policy has just started it; the clocks of engine and host may differ by some seconds."""
    if not (state.is_running and state.restart_count and state.started_at):
        return False
    return abs(now - state.started_at) < YOUNG
