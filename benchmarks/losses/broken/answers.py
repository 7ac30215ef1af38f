"""A proxy between Grafana and Prometheus: `python -m benchmarks.losses.broken.answers PORT UPSTREAM VARIANT [WORD]`."""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.losses.broken import curves
from runbook.local_stack.fakes.serving import JSON, Request, Response, Server, json_response
from runbook.platforms import hold_signals, wait_for_end

_TIMEOUT_S: Final = 15.0
_HTTP_ERROR: Final = 400
_COUNTER: Final = "crm_events_ingested_total"
_LEADS: Final = "apexflow.leads.created"
_JOBS: Final = "apexflow.jobs.created"

Series = list[dict[str, Any]]
Change = Callable[[Series], Series]


Pair = tuple[float, str]


def _points(change: Callable[[float, float], Pair | None]) -> Change:
    """Change each point of each series, a time and a value; None leaves it out."""

    def changed(series: Series) -> Series:
        for one in series:
            if "value" in one:
                moment, value = one["value"]
                one["value"] = change(moment, float(value)) or one["value"]
            else:
                points = (change(moment, float(value)) for moment, value in one["values"])
                one["values"] = [point for point in points if point is not None]
        return series

    return changed


def _scaled(factor: str) -> Change:
    return _points(lambda moment, value: (moment, f"{value * float(factor):g}"))


def _thinned(every: str) -> Change:
    def thinned(series: Series) -> Series:
        for one in series:
            one["values"] = one.get("values", [])[:: int(every)]
        return series

    return lambda series: thinned(series) if series and "values" in series[0] else series


def _merged(series: Series) -> Series:
    """Add all series up, under the topic of leads."""
    sums: Counter[float] = Counter()
    for one in series:
        for moment, value in one.get("values", [one.get("value")]):
            sums[moment] += float(value)  # type: ignore[assignment]  # a Counter adds any number
    pairs = [[moment, f"{total:g}"] for moment, total in sorted(sums.items())]
    name = {"metric": {"topic": _LEADS}}
    if not pairs:
        return []
    return [{**name, "values": pairs} if "values" in series[0] else {**name, "value": pairs[0]}]


def _swapped(series: Series) -> Series:
    other = {_LEADS: _JOBS, _JOBS: _LEADS}
    for one in series:
        topic = one["metric"].get("topic")
        one["metric"]["topic"] = other.get(topic, topic)
    return series


def _at(is_kept: Callable[[float], bool], *, of_now: bool = True) -> Change:
    """Keep the points of these moments, and the series that have one; the values of one moment only if `of_now`."""

    def changed(series: Series) -> Series:
        for one in series:
            if "values" in one:
                one["values"] = [pair for pair in one["values"] if is_kept(pair[0])]
        return [one for one in series if one.get("values", of_now)]

    return changed


def _stopped() -> Change:
    """Know nothing of what came after the start, as a replica that gets no more data."""
    since = time.time()
    return _at(lambda moment: moment <= since, of_now=False)


def _short_names(series: Series) -> Series:
    for one in series:
        if "topic" in one["metric"]:
            one["metric"]["topic"] = one["metric"]["topic"].split(".")[1]
    return series


def _without_label(name: str) -> Change:
    return lambda series: [{**one, "metric": {k: v for k, v in one["metric"].items() if k != name}} for one in series]


def _stairs(seconds: str) -> Change:
    """Give all points of such a span the value of its first, as a store does that keeps one of them."""

    def changed(series: Series) -> Series:
        for one in series:
            held: dict[float, str] = {}
            if "values" in one:
                one["values"] = [(at, held.setdefault(at // float(seconds), value)) for at, value in one["values"]]
        return series

    return changed


def _with_label(name: str, value: str) -> Change:
    return lambda series: [{**one, "metric": {**one["metric"], name: value}} for one in series]


def _left(series: Series) -> Series:
    return series


QUERIES: Final[dict[str, Callable[..., Callable[[str], str]]]] = {
    "asks": lambda old, new: lambda query: query.replace(old, new),
    "enforces": lambda matcher: lambda query: query.replace(_COUNTER, f"{_COUNTER}{{{matcher}}}"),
}
"""What is asked in place of a query; the answer stays as it is."""

Form = dict[str, str]


def _aligned(form: Form) -> Form:
    """Begin and end at a multiple of the step, as a front end does that keeps answers."""
    if "step" not in form:
        return form
    step = float(form["step"].removesuffix("s"))
    return {**form, **{name: f"{float(form[name]) // step * step:.3f}" for name in ("start", "end")}}


def _form_of(variant: str, arguments: list[str]) -> Callable[[Form], Form] | None:
    """Return what becomes of the form that is asked by; None: nothing."""
    if variant == "aligns":
        return _aligned
    if variant not in QUERIES:
        return None
    change = QUERIES[variant](*arguments)
    return lambda form: {**form, "query": change(form["query"])} if "query" in form else form


VARIANTS: Final[dict[str, Callable[..., Change]]] = {
    "plain": lambda: lambda series: series,
    "drops": lambda mark: lambda series: [one for one in series if mark not in json.dumps(one["metric"])],
    "times": _scaled,
    "caps": lambda most: _points(lambda moment, value: (moment, f"{min(value, float(most)):g}")),
    "shifts": lambda seconds: _points(lambda moment, value: (moment + float(seconds), f"{value:g}")),
    "thins": _thinned,
    "merges": lambda: _merged,
    "swaps-topics": lambda: _swapped,
    "empty": lambda: lambda _: [],
    "frozen": lambda: lambda series: series,
    "slow": lambda _: lambda series: series,
    "cuts": lambda seconds: _at(lambda moment: moment <= time.time() - float(seconds)),
    "gap": lambda old, new: _at(lambda moment: not float(new) <= time.time() - moment <= float(old)),
    "steps": lambda seconds: _at(lambda moment: moment % float(seconds) < 1),
    "stopped": _stopped,
    "plus": lambda number: _points(lambda moment, value: (moment, f"{value + float(number):g}")),
    "short-names": lambda: _short_names,
    "without-label": _without_label,
    "with-label": _with_label,
    "rounds": lambda digits: _points(lambda moment, value: (moment, f"{value:.{int(digits)}f}")),
    "stairs": _stairs,
    "digits": lambda: _points(lambda moment, value: (moment, f"{value:.17e}")),
    "reversed": lambda: lambda series: series[::-1],
    "aligns": lambda: _left,
    **curves.VARIANTS,
    **dict.fromkeys(QUERIES, lambda *_: _left),
}


class Proxy:
    """Hands every request on, and changes the series of the answers that speak of the sink's counter."""

    def __init__(self, upstream: str, variant: str, arguments: list[str]) -> None:
        self._upstream, self._variant = upstream.rstrip("/"), variant
        self._change = VARIANTS[variant](*arguments)
        self._form = _form_of(variant, arguments)
        self._wait_s = float(arguments[0]) if variant == "slow" else 0.0
        self._old: dict[str, bytes] = {}

    def __call__(self, request: Request) -> Response:
        """Return Prometheus's answer, changed."""
        threading.Event().wait(self._wait_s)
        query = (parse_qs(request.body.decode()).get("query") or [request.query.get("query", "")])[0]
        try:
            status, body = self._answer(self._asked(request))
        except urllib.error.URLError as error:
            return json_response(502, {"status": "error", "error": str(error.reason)})
        if _COUNTER not in query or status >= _HTTP_ERROR:
            return Response(status=status, body=body, content_type=JSON)
        if self._variant == "frozen":
            body = self._old.setdefault(f"{request.path} {query}", _aged(body))
        document = json.loads(body)
        document["data"]["result"] = self._change(document["data"]["result"])
        return json_response(status, document)

    def _asked(self, request: Request) -> Request:
        """Return the request with its form changed, in its body or its address."""
        if self._form is None:
            return request
        url = urlsplit(request.target)
        texts = [request.body.decode(), url.query]
        forms = [{name: values[0] for name, values in parse_qs(text).items()} for text in texts]
        body, query = (urlencode(self._form(form)) for form in forms)
        return replace(request, body=body.encode(), target=url._replace(query=query).geturl())

    def _answer(self, request: Request) -> tuple[int, bytes]:
        kind = {"Content-Type": request.headers["content-type"]} if "content-type" in request.headers else {}
        asked = urllib.request.Request(  # noqa: S310 - the stack's own
            f"{self._upstream}{request.target}", request.body or None, kind, method=request.method
        )
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def _aged(body: bytes) -> bytes:
    """Return the answer as it was before anything happened: every value is zero."""
    document = json.loads(body)
    document["data"]["result"] = _scaled("0")(document["data"]["result"])
    return json.dumps(document).encode()


def main() -> None:
    """Serve until SIGTERM."""
    hold_signals()
    port, upstream, variant, *arguments = sys.argv[1:]
    with Server("answers", int(port), Proxy(upstream, variant, arguments)):
        wait_for_end()


if __name__ == "__main__":
    main()
