"""People and programs that only look: at panels, and at the sink's page."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from benchmarks.losses.asking import ask_prometheus, fetched
from benchmarks.losses.repeating import repeated
from benchmarks.losses.showing import QUERY, asked_by_grafana
from benchmarks.losses.world import World


def _look(world: World, per_s: str, ask: Callable[[], object]) -> None:
    def look() -> None:
        with suppress(OSError):
            ask()

    world.until_end.enter_context(repeated(float(per_s), look))


def _viewers(world: World, per_s: str) -> None:
    url = asked_by_grafana(world)
    _look(world, per_s, lambda: ask_prometheus(url, "query", query=QUERY))


def _readers_of_the_page(world: World, per_s: str) -> None:
    url = world.target.sink.metrics_url
    _look(world, per_s, lambda: fetched(url))


VERBS: Final[dict[str, Callable[..., None]]] = {"viewers": _viewers, "page-readers": _readers_of_the_page}
