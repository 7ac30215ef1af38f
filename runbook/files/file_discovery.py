"""Where the two files of an installation are on this host. Never silently the checkout's own monitoring/."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runbook.errors import UsageError
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service

DASHBOARD = "crm_events_pipeline.json"
RULES = "prometheus-crm-events-rules.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The dashboard and the rules file, links followed; `how` says who named them, `links` which links there were."""

    dashboard: Path
    rules: Path
    how: str
    links: tuple[str, ...] = ()


def found_files(
    target: Target,
    runtime: Runtime,
    *,
    dashboard: Path | None = None,
    rules: Path | None = None,
    monitoring_dir: Path | None = None,
) -> Files:
    """Return both files: from the options, else the settings, else the bind mounts of the containers.

    A file goes before the folder of the same source. Symbolic links are followed. Raises UsageError when nobody
    names a file.
    """
    given, settings = _in_folder(monitoring_dir), target.files
    found = _in_folder(settings.monitoring_dir)
    named_dashboard = dashboard or given.dashboard or settings.dashboard or found.dashboard
    named_rules = rules or given.rules or settings.rules or found.rules
    paths = named_dashboard or _mounted_dashboard(target, runtime), named_rules or _mounted_rules(target, runtime)
    resolved = [_resolved(path) for path in paths]
    return Files(
        dashboard=resolved[0],
        rules=resolved[1],
        how="as set" if named_dashboard and named_rules else "as mounted into the containers",
        links=tuple(
            f"{path} is a symbolic link: {real} is meant"
            for path, real in zip(paths, resolved, strict=True)
            if path.is_symlink()
        ),
    )


def _resolved(path: Path) -> Path:
    """Follow links. Raises UsageError for a path that cannot be looked at: a loop, a forbidden folder, a long name."""
    try:
        path.lstat()
        return path.resolve()
    except FileNotFoundError:
        return path.absolute()
    except (OSError, RuntimeError) as error:
        seen = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"This path cannot be followed: {seen}", where=str(path), fix="correct the path") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    dashboard: Path | None = None
    rules: Path | None = None


def _in_folder(folder: Path | None) -> _Named:
    if folder is None:
        return _Named()
    return _Named(dashboard=folder / "grafana" / "dashboards" / DASHBOARD, rules=folder / RULES)


def _mounted_dashboard(target: Target, runtime: Runtime) -> Path:
    service = target.grafana.as_service
    mounts = runtime.mounts(service)
    for mount in mounts:
        if PurePosixPath(mount.destination).name == DASHBOARD:
            return _on_this_host(mount, Path(mount.source), "--dashboard")
    for mount in mounts:
        candidate = Path(mount.source) / DASHBOARD
        if os.access(candidate, os.F_OK):
            return candidate
    raise _unnamed(DASHBOARD, service, "--dashboard")


def _mounted_rules(target: Target, runtime: Runtime) -> Path:
    service = target.prometheus.as_service
    inside = PurePosixPath(target.prometheus.rules_inside)
    for mount in runtime.mounts(service):
        if PurePosixPath(mount.destination) == inside:
            return _on_this_host(mount, Path(mount.source), "--rules")
        if PurePosixPath(mount.destination) == inside.parent:
            return _on_this_host(mount, Path(mount.source) / inside.name, "--rules")
    raise _unnamed(str(inside), service, "--rules")


def _on_this_host(mount: Mount, path: Path, option: str) -> Path:
    if os.access(path, os.F_OK):  # Path.exists() raises where a folder above may not be entered
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
