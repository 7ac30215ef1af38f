"""The options of `run`."""

from dataclasses import dataclass

from runbook.commands.setup.options import FileOptions, SetupOptions
from runbook.commands.traffic.options import AmountOptions, TrafficOptions
from runbook.commands.verify.options import VerifyOptions
from runbook.options import TargetOptions, YesOption, option, positive


@dataclass(frozen=True, kw_only=True)
class RunOptions(TargetOptions, FileOptions, AmountOptions, YesOption):
    """What `run` was asked for: options of setup, traffic and verify."""

    timeout_s: float = option(120.0, flag="timeout", help="seconds to wait for a state", convert=positive)

    @property
    def of_setup(self) -> SetupOptions:
        """The options of its setup."""
        return SetupOptions(
            target=self.target,
            monitoring_dir=self.monitoring_dir,
            dashboard=self.dashboard,
            rules=self.rules,
            datasource_uid=self.datasource_uid,
            timeout_s=self.timeout_s,
        )

    @property
    def of_traffic(self) -> TrafficOptions:
        """The options of its traffic."""
        return TrafficOptions(
            target=self.target,
            leads=self.leads,
            jobs=self.jobs,
            rate=self.rate,
            timeout_s=self.timeout_s,
            yes=self.yes,
        )

    def of_verify(self, run_id: str) -> VerifyOptions:
        """The options of its verify, for the run itself."""
        return VerifyOptions(target=self.target, run_id=run_id, timeout_s=self.timeout_s)
