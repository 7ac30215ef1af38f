"""The options of `metrics`."""

from dataclasses import dataclass

from runbook.options import TargetOptions


@dataclass(frozen=True, kw_only=True)
class MetricsOptions(TargetOptions):
    """What `metrics` was asked for."""
