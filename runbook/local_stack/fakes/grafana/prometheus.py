"""What Grafana's Prometheus data source does in the backend: an expression to data frames.

One frame per series, instant vectors likewise: the pivot into a table happens in Grafana's frontend, not here.
"""

import json
import math
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 10.0
_NOT_FINITE = {"NaN": "NaN", "+Inf": "Inf", "-Inf": "NegInf"}

Frame = dict[str, Any]


class PrometheusError(Exception):
    """Prometheus refused (its own words) or could not be reached; `status` is the result's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression over a time range; an instant one is asked at the range's end."""

    ref_id: str
    expr: str
    legend: str
    instant: bool
    range_too: bool
    start_s: float
    end_s: float
    step_s: float


def frames(url: str, query: Query) -> list[Frame]:
    """Return the frames of `query`, one without fields if nothing matched. Raises PrometheusError."""
    found: list[Frame] = []
    if query.range_too:
        found += _range_frames(url, query)
    if query.instant:
        data = ask(url, "query", {"query": query.expr, "time": f"{query.end_s:.3f}"})
        found += [_frame(query, data["resultType"], *series) for series in _series(data)]
    return found or [_empty_frame(query)]


def ask(url: str, endpoint: str, form: Mapping[str, str]) -> dict[str, Any]:
    """Return `data` of Prometheus's answer. Raises PrometheusError."""
    address = f"{url.rstrip('/')}/api/v1/{endpoint}"
    try:
        request = urllib.request.Request(address, urllib.parse.urlencode(form).encode(), method="POST")  # noqa: S310 - the address is the data source's
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
            document = json.load(answer)
    except urllib.error.HTTPError as error:
        raise PrometheusError(error.code, _refusal(error)) from error
    except urllib.error.URLError as error:
        raise PrometheusError(502, f'Post "{address}": {_go_text(url, error.reason)}') from error
    except (OSError, ValueError) as error:
        raise PrometheusError(502, f'Post "{address}": {error}') from error
    data: dict[str, Any] = document["data"]
    return data


def _range_frames(url: str, query: Query) -> list[Frame]:
    """Ask with both ends on a multiple of the step, as Grafana does."""
    start_s, end_s = (math.floor(at / query.step_s) * query.step_s for at in (query.start_s, query.end_s))
    form = {"query": query.expr, "start": f"{start_s:g}", "end": f"{end_s:g}", "step": f"{query.step_s:g}"}
    form |= {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}"}
    data = ask(url, "query_range", form)
    return [_frame(query, data["resultType"], *series) for series in _series(data)]


def _series(data: Mapping[str, Any]) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    """Return labels and samples of every series, whatever the result's type is."""
    if data["resultType"] in {"scalar", "string"}:
        return [({}, [data["result"]])]
    return [(each["metric"], each.get("values") or [each["value"]]) for each in data["result"]]


def _frame(query: Query, kind: str, labels: dict[str, str], samples: list[tuple[float, str]]) -> Frame:
    value = {"name": "Value", "type": "number", "typeInfo": {"frame": "float64"}, "labels": labels}
    fields = [
        {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}, "config": _interval(query, kind)},
        value | {"config": {"displayNameFromDS": _display_name(query, labels)}},
    ]
    times = [round(float(at) * 1000) for at, _ in samples]
    numbers = [None if text in _NOT_FINITE else float(text) for _, text in samples]
    data: dict[str, Any] = {"values": [times, numbers]}
    if None in numbers:
        data["entities"] = [None, _entities([text for _, text in samples])]
    return {"schema": {"refId": query.ref_id, "meta": _meta(query, kind), "fields": fields}, "data": data}


def _empty_frame(query: Query) -> Frame:
    kind = "matrix" if query.range_too else "vector"
    return {
        "schema": {"refId": query.ref_id, "meta": _meta(query, kind), "fields": []},
        "data": {"values": []},
    }


def _interval(query: Query, kind: str) -> dict[str, int]:
    return {"interval": round(query.step_s * 1000)} if kind == "matrix" else {}


def _meta(query: Query, kind: str) -> dict[str, Any]:
    return {
        "type": "timeseries-multi" if kind == "matrix" else "numeric-multi",
        "typeVersion": [0, 1],
        "custom": {"resultType": kind},
        "executedQueryString": f"Expr: {query.expr}\nStep: {query.step_s:g}s",
    }


def _entities(texts: list[str]) -> dict[str, list[int]]:
    """Return the places of numbers that JSON cannot hold, by kind."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if text in _NOT_FINITE:
            places.setdefault(_NOT_FINITE[text], []).append(place)
    return places


def _display_name(query: Query, labels: Mapping[str, str]) -> str:
    if query.legend == "__auto":
        return "" if labels else query.expr
    if query.legend:
        return re.sub(r"\{\{\s*(.+?)\s*\}\}", lambda found: labels.get(found[1], ""), query.legend)
    others = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    name = labels.get("__name__", "")
    return (f"{name}{{{others}}}" if others or not name else name) if labels else query.expr


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        document = json.load(error)
        return f"{document['errorType']}: {document['error']}"
    except (ValueError, KeyError):
        return f"client_error: client error: {error.code}"


def _go_text(url: str, reason: object) -> str:
    """Return the reason in the words of Go's net package, which operators know from Grafana."""
    address = urllib.parse.urlsplit(url)
    if isinstance(reason, TimeoutError):
        return "context deadline exceeded"
    if isinstance(reason, socket.gaierror):
        unknown = reason.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
        why = "no such host" if unknown else "Temporary failure in name resolution"
        return f"dial tcp: lookup {address.hostname}: {why}"
    why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return f"dial tcp {address.netloc}: connect: {why.lower()}"
