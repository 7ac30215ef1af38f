"""The options of `demo`."""

from dataclasses import dataclass

from runbook.commands.run.options import RunOptions
from runbook.commands.traffic.options import AmountOptions
from runbook.options import JsonOption, option


@dataclass(frozen=True, kw_only=True)
class DemoOptions(JsonOption, AmountOptions):
    """What `demo` was asked for."""

    keep: bool = option(False, help="leave the local stack up afterwards")

    @property
    def of_run(self) -> RunOptions:
        """The options of its run."""
        return RunOptions(target="local", leads=self.leads, jobs=self.jobs, rate=self.rate, yes=True)
