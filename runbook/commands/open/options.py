"""The options of `open`."""

from dataclasses import dataclass

from runbook.options import TargetOptions


@dataclass(frozen=True, kw_only=True)
class OpenOptions(TargetOptions):
    """What `open` was asked for."""
