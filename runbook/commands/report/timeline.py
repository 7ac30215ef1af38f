"""The ledger of a report on one axis of time: for every row a dot per hop, from the moment it was sent.

The axis is logarithmic: the API answers within milliseconds, the panel shows the event many seconds later.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MOST_ROWS = 1000  # 1.5 kB of HTML each
WIDTH = 300
_LEFT, _RIGHT = 8, 18
_FROM_S = 0.001
_LEAST_SPAN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One hop of one row: `x` in the picture, `after_s` since the send. None of both: the hop gives no time."""

    hop: str
    outcome: str
    saw: str
    after_s: float | None
    x: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One row of the ledger: a dot for each hop of the timeline, None where the row has no such hop."""

    row: dict[str, Any]
    dots: tuple[Dot | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The rows under the same hops and the same axis; `ticks` are (x, seconds), `left_out` counts further rows."""

    hops: tuple[str, ...]
    ticks: tuple[tuple[float, float], ...]
    tracks: tuple[Track, ...]
    left_out: int
    width: int = WIDTH


def timeline(every_row: list[dict[str, Any]]) -> Timeline:
    """Return the timeline of a ledger's rows, as the JSON document holds them; of very many, unproven ones first."""
    rows = sorted(every_row, key=lambda row: row["outcome"] == "ok") if len(every_row) > MOST_ROWS else every_row
    rows, left_out = rows[:MOST_ROWS], len(every_row[MOST_ROWS:])
    hops = tuple(dict.fromkeys(hop["hop"] for row in rows for hop in row["hops"]))
    most_s = max([_LEAST_SPAN_S, *(after for row in rows for hop in row["hops"] if (after := _after_s(row, hop)))])
    decades = math.ceil(math.log10(most_s / _FROM_S))
    ticks = tuple((_x(_FROM_S * 10**power, most_s), _FROM_S * 10**power) for power in range(decades))
    tracks = tuple(_track(row, hops, most_s) for row in rows)
    return Timeline(hops=hops, ticks=ticks, tracks=tracks, left_out=left_out)


def _track(row: dict[str, Any], hops: tuple[str, ...], most_s: float) -> Track:
    seen = {hop["hop"]: _dot(row, hop, most_s) for hop in row["hops"]}
    return Track(row=row, dots=tuple(seen.get(hop) for hop in hops))


def _dot(row: dict[str, Any], hop: dict[str, Any], most_s: float) -> Dot:
    after_s = _after_s(row, hop)
    x = None if after_s is None else _x(after_s, most_s)
    return Dot(hop=hop["hop"], outcome=hop["outcome"], saw=hop["saw"], after_s=after_s, x=x)


def _after_s(row: dict[str, Any], hop: dict[str, Any]) -> float | None:
    """Return the seconds from send to hop. Negative where the hop's clock is behind ours: it is shown as it is."""
    if hop["at"] is None:
        return None
    return (datetime.fromisoformat(hop["at"]) - datetime.fromisoformat(row["sent_at"])).total_seconds()


def _x(after_s: float, most_s: float) -> float:
    """Return the place on the axis; what lies before its beginning is drawn at its beginning."""
    share = math.log(max(after_s, _FROM_S) / _FROM_S) / math.log(most_s / _FROM_S)
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)
