"""The options of `report`."""

from dataclasses import dataclass
from pathlib import Path

from runbook.options import JsonOption, RunIdOption, option, path


@dataclass(frozen=True, kw_only=True)
class ReportOptions(JsonOption, RunIdOption):
    """What `report` was asked for. Without a run id: the newest run that has a result."""

    output: Path | None = option(
        None, help="the file to write; default: report.html beside the run's log", convert=path
    )
