"""Everything a YAML text says, event by event: what a change must say is derived from these, never from splices.

Linear where aliases would multiply the values, and blind to comments, blank lines, indentation and line ends.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from runbook.files.yaml_text import LOADER

_OUTSIDE = 3  # events before the item of a list on its own: stream, document, list; as many close them
_VALUES = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)


class Event(NamedTuple):
    """One event: where its text begins, its kind, its anchor or alias, and what else it says."""

    at: int
    kind: type[yaml.Event]
    anchor: str | None
    rest: tuple[Any, ...]


Events = Sequence[Event]


def events_of(body: str) -> Events:
    """The events of a text; raises yaml.YAMLError."""
    return [
        Event(
            event.start_mark.index if event.start_mark else 0,
            type(event),
            getattr(event, "anchor", None),
            tuple(getattr(event, name, None) for name in ("tag", "value", "style")),
        )
        for event in yaml.parse(body, Loader=LOADER)
    ]


def item_of(text: str) -> Events:
    """The events of the only item of a list that is written on its own."""
    return events_of(text)[_OUTSIDE:-_OUTSIDE]


def cut(events: Events, start: int) -> tuple[Events, Events]:
    """The events without the value whose text begins at `start`, and those of that value."""
    first, behind = _span(events, start)
    return [*events[:first], *events[behind:]], events[first:behind]


def appended(events: Events, start: int, item: Events) -> Events:
    """The events with an item more in the list whose text begins at `start`; no value becomes a list of that item."""
    first, behind = _span(events, start)
    if events[first].kind is yaml.ScalarEvent:
        opening, closing = events_of("[]")[_OUTSIDE - 1 : 1 - _OUTSIDE]
        return [*events[:first], opening, *item, closing, *events[behind:]]
    return [*events[: behind - 1], *item, *events[behind - 1 :]]


def say_the_same(one: Events, two: Events) -> bool:
    """Whether two texts mean the same, wherever their parts are."""
    return [event[1:] for event in one] == [event[1:] for event in two]


def is_tied(events: Events) -> bool:
    """Whether there is an anchor or an alias, so that the meaning depends on the place."""
    return any(event.anchor is not None for event in events)


def _span(events: Events, start: int) -> tuple[int, int]:
    """Where the value whose text begins at `start` begins among the events, and the place behind it."""
    first = next(n for n, event in enumerate(events) if event.at == start and event.kind in _VALUES)
    depth = 0
    for behind, event in enumerate(events[first:], start=first + 1):
        depth += issubclass(event.kind, yaml.CollectionStartEvent) - issubclass(event.kind, yaml.CollectionEndEvent)
        if depth == 0:
            return first, behind
    raise ValueError(start)
