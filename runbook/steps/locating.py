"""Where the two files of an installation are on this host. Never silently the checkout's own monitoring/."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runbook.clients.runtime import Mount, Runtime, Service
from runbook.errors import UsageError
from runbook.settings import Target

DASHBOARD = "crm_events_pipeline.json"
RULES = "prometheus-crm-events-rules.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The dashboard and the rules file; `how` says who named them."""

    dashboard: Path
    rules: Path
    how: str


def found_files(
    target: Target,
    runtime: Runtime,
    *,
    dashboard: Path | None = None,
    rules: Path | None = None,
    monitoring_dir: Path | None = None,
) -> Files:
    """Return both files: from the options, else the settings, else the bind mounts of the containers.

    Symbolic links are followed. Raises UsageError when nobody names a file.
    """
    settings = target.files
    folder = monitoring_dir or (None if dashboard and rules else settings.monitoring_dir)
    in_folder = (folder / "grafana" / "dashboards" / DASHBOARD, folder / RULES) if folder else (None, None)
    named = (
        dashboard or (in_folder[0] if monitoring_dir else settings.dashboard or in_folder[0]),
        rules or (in_folder[1] if monitoring_dir else settings.rules or in_folder[1]),
    )
    if named[0] and named[1]:
        return Files(dashboard=named[0].resolve(), rules=named[1].resolve(), how="as set")
    return Files(
        dashboard=(named[0] or _mounted_dashboard(target, runtime)).resolve(),
        rules=(named[1] or _mounted_rules(target, runtime)).resolve(),
        how="as mounted into the containers",
    )


def _mounted_dashboard(target: Target, runtime: Runtime) -> Path:
    service = Service(name=target.grafana.service, container=target.grafana.container)
    for mount in runtime.mounts(service):
        if PurePosixPath(mount.destination).name == DASHBOARD:
            return _on_this_host(mount, Path(mount.source), "--dashboard")
    for mount in runtime.mounts(service):
        candidate = Path(mount.source) / DASHBOARD
        if candidate.is_file():
            return candidate
    raise _unnamed(DASHBOARD, service, "--dashboard")


def _mounted_rules(target: Target, runtime: Runtime) -> Path:
    service = Service(name=target.prometheus.service, container=target.prometheus.container)
    inside = PurePosixPath(target.prometheus.rules_inside)
    for mount in runtime.mounts(service):
        if PurePosixPath(mount.destination) == inside:
            return _on_this_host(mount, Path(mount.source), "--rules")
        if PurePosixPath(mount.destination) == inside.parent:
            return _on_this_host(mount, Path(mount.source) / inside.name, "--rules")
    raise _unnamed(str(inside), service, "--rules")


def _on_this_host(mount: Mount, path: Path, option: str) -> Path:
    if path.exists():
        return path
    raise UsageError(
        f"Docker mounts {path}, which is not on this host",
        where=f"bind mount of {mount.destination}",
        fix=f"run on the host of the containers, or give {option} FILE",
    )


def _unnamed(wanted: str, service: Service, option: str) -> UsageError:
    return UsageError(
        f"Nobody names {wanted}: it is not set, and no bind mount of {service.container} leads to it",
        where="options, runbook.toml [targets.NAME.files], environment RUNBOOK_FILES_*, Docker's mounts",
        fix=f"inv setup --monitoring-dir DIR, or {option} FILE",
    )
