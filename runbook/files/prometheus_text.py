"""Prometheus's own spellings that carry one meaning: durations, and expressions broken over lines."""

import re

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_PART = re.compile(r"([0-9]+)(ms|[smhdwy])")


def duration_s(written: str) -> float | None:
    """Seconds of a Prometheus duration (`2m`, `1h30m`, `0`); None if it is not one."""
    parts = _PART.findall(written)
    if written == "0" or not parts or "".join(map("".join, parts)) != written:
        return 0.0 if written == "0" else None
    return float(sum(int(number) * _UNITS_S[unit] for number, unit in parts))


def one_line(expression: str) -> str:
    """An expression with every run of white space as one blank: how it is broken over lines means nothing."""
    return " ".join(expression.split())
