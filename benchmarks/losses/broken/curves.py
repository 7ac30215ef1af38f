"""What broken/answers.py makes of the values of a curve: rounded otherwise, smoothed, flat."""

import math
from collections.abc import Callable
from typing import Any, Final

Series = list[dict[str, Any]]
Change = Callable[[Series], Series]


def _curves(change: Callable[[list[float]], list[float]], text: Callable[[float], str] = repr) -> Change:
    """Change the values of each series, oldest first; the one value of an answer of now is the newest of its curve."""

    def changed(series: Series) -> Series:
        for one in series:
            pairs = one["values"] if "values" in one else [one["value"]]
            values = change([float(value) for _, value in pairs])
            pairs = [[moment, text(value)] for (moment, _), value in zip(pairs, values, strict=True)]
            one.update({"values": pairs} if "values" in one else {"value": pairs[-1]})
        return series

    return changed


def _as_it_is(values: list[float]) -> list[float]:
    return values


def _smoothed(many: str) -> Change:
    """Give each point the mean of itself and those before it, so many in all."""

    def means(values: list[float]) -> list[float]:
        spans = [values[max(0, end - int(many)) : end] for end in range(1, len(values) + 1)]
        return [math.fsum(span) / len(span) for span in spans]

    return _curves(means)


def _truncated(digits: str) -> Change:
    """Cut behind so many digits, in place of rounding."""
    scale = 10 ** int(digits)
    return _curves(lambda values: [math.floor(value * scale) / scale for value in values])


def _with_times_as_fractions(series: Series) -> Series:
    for one in series:
        name = "values" if "values" in one else "value"
        pairs = [[float(moment), value] for moment, value in (one[name] if name == "values" else [one[name]])]
        one[name] = pairs if name == "values" else pairs[0]
    return series


VARIANTS: Final[dict[str, Callable[..., Change]]] = {
    "flat": lambda: _curves(lambda values: values[-1:] * len(values)),
    "smooths": _smoothed,
    "significant": lambda digits: _curves(_as_it_is, lambda value: f"{value:.{int(digits)}g}"),
    "truncates": _truncated,
    "fractions": lambda: _with_times_as_fractions,
}
