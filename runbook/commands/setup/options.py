"""The options of `setup`."""

from dataclasses import dataclass
from pathlib import Path

from runbook.options import TargetOptions, YesOption, option, path, positive


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Which files and which datasource; they go before the settings of the target."""

    monitoring_dir: Path | None = option(None, help="folder with grafana/dashboards and the rules file", convert=path)
    dashboard: Path | None = option(None, help="the dashboard file", convert=path)
    rules: Path | None = option(None, help="the rules file", convert=path)
    datasource_uid: str | None = option(
        None, help="uid of the datasource of panels 20 and 21; default: asked of Grafana"
    )


@dataclass(frozen=True, kw_only=True)
class SetupOptions(TargetOptions, FileOptions, YesOption):
    """What `setup` was asked for."""

    dry_run: bool = option(False, help="print the plan that would run; exit code 2 if it is not empty")
    restart: bool = option(True, help="--no-restart: write the files only")
    verbatim: bool = option(False, help="the runbook's panels letter by letter instead of the corrected ones")
    reset_panels: bool = option(
        False, help="replace panels 20 and 21 whole; default: repair what is needed, keep the rest"
    )
    strip_bom: bool = option(False, help="remove the byte order mark of the dashboard")
    with_absent_alert: bool = option(False, help="add CrmEventsSinkAbsent beside the runbook's alert")
    renumber: bool = option(False, help="if another panel has the id 20 or 21, give ours the next free one")
    move_alert: bool = option(False, help="if the alert is in another rule group, move it to the one where it belongs")
    timeout_s: float = option(120.0, flag="timeout", help="seconds to wait for a state", convert=positive)
