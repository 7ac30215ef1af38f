"""People and programs that only look: at panels, and at the sink's page."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from benchmarks.losses.asking import ask_prometheus, fetched
from benchmarks.losses.showing import QUERY, asked_by_grafana
from benchmarks.losses.world import World


@contextmanager
def _asking(per_s: float, ask: Callable[[], object]) -> Iterator[None]:
    """Ask so many times a second until the end of the block, whatever the answer is."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(1 / per_s):
            with suppress(OSError):
                ask()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _viewers(world: World, per_s: str) -> None:
    url = asked_by_grafana(world)
    world.until_end.enter_context(_asking(float(per_s), lambda: ask_prometheus(url, "query", query=QUERY)))


def _readers_of_the_page(world: World, per_s: str) -> None:
    url = world.target.sink.metrics_url
    world.until_end.enter_context(_asking(float(per_s), lambda: fetched(url)))


VERBS: Final[dict[str, Callable[..., None]]] = {"viewers": _viewers, "page-readers": _readers_of_the_page}
