"""Options that are numbers. Invoke hands them over as text: a wrong one ends in three parts, not in a traceback."""

import math

from runbook.errors import UsageError


def number(option: str, text: str, *, above: float) -> float:
    """Return a finite number greater than `above`. Raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= above:
        raise UsageError(f"{option} is {text!r}", where=f"option {option}", fix=f"give a number above {above:g}")
    return value


def whole(option: str, text: str) -> int:
    """Return a whole number. Raises UsageError."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} is {text!r}", where=f"option {option}", fix="give a whole number") from None
