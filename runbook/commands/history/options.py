"""The options of `history`."""

from dataclasses import dataclass

from runbook.options import JsonOption


@dataclass(frozen=True, kw_only=True)
class HistoryOptions(JsonOption):
    """What `history` was asked for."""
