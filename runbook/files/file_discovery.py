"""Where the two files of an installation are on this host.

One order decides for every command; the first that names a file counts:

1. an option of the command: the file (`--dashboard`, `--rules`), then the folder (`--monitoring-dir`);
2. a setting: the file (`[files] dashboard`, `rules`), then the folder (`monitoring_dir`);
3. the bind mount of the container that reads it, if the engine runs on this host.

It is never silently the checkout's own monitoring/. What a container reads is another question: that is what is mounted
into it, whatever an option or a setting names (`mounted_rules`).
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from runbook.errors import UsageError
from runbook.files.mount_paths import paths_here
from runbook.invocation import inv
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service
from runbook.wording import pasteable

DASHBOARD: Final = "crm_events_pipeline.json"
RULES: Final = "prometheus-crm-events-rules.yml"
_HERE: Final = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The dashboard and the rules file, links followed; `how` says what named them, `links` which links there were."""

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
    """Return both files; the paths are a command's options. Symbolic links are followed.

    Raises UsageError when nothing names a file, or when its bind mount is not on this host.
    """
    given, set_ = _in_folder(monitoring_dir), _set(target)
    named_dashboard = dashboard or given.dashboard or set_.dashboard
    named_rules = rules or given.rules or set_.rules
    paths = named_dashboard or _mounted_dashboard(target, runtime), named_rules or _loaded_rules(target, runtime)
    resolved = [_resolved(path) for path in paths]
    return Files(
        dashboard=resolved[0],
        rules=resolved[1],
        how="named by options or settings" if named_dashboard and named_rules else _by_mounts(runtime),
        links=tuple(
            f"{pasteable(path)} is a symbolic link to {pasteable(real)}, which is the file that counts"
            for path, real in zip(paths, resolved, strict=True)
            if path.is_symlink()
        ),
    )


def dashboard_path(target: Target, runtime: Runtime) -> Path:
    """Return the dashboard file of a command without options. Raises UsageError as `found_files` does."""
    return _set(target).dashboard or _mounted_dashboard(target, runtime)


def rules_path(target: Target, runtime: Runtime) -> Path:
    """Return the rules file of a command without options. Raises UsageError as `found_files` does."""
    return _set(target).rules or _loaded_rules(target, runtime)


def mounted_rules(target: Target, runtime: Runtime) -> Path | None:
    """Return the file that is mounted into Prometheus's container as its rules file; None without such a mount.

    Raises UsageError if it is not on this host.
    """
    inside = PurePosixPath(target.prometheus.rules_inside)
    for mount in runtime.mounts(target.prometheus.as_service):
        if PurePosixPath(mount.destination) == inside:
            return _on_this_host(runtime, mount, "", "--rules")
        if PurePosixPath(mount.destination) == inside.parent:
            return _on_this_host(runtime, mount, inside.name, "--rules")
    return None


def _by_mounts(runtime: Runtime) -> str:
    return f"found by the bind mounts, {runtime.described()}"


def _resolved(path: Path) -> Path:
    """Follow links. Raises UsageError for a path that cannot be looked at: a loop, a forbidden folder, a long name.

    A link that leads nowhere is one, too: setup edits files, and makes none.
    """
    try:
        path.lstat()
        real = path.resolve()
        is_there = real.exists()
    except FileNotFoundError:
        return path.absolute()
    except (OSError, RuntimeError) as error:
        seen = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"This path cannot be followed: {seen}", where=pasteable(path), fix="correct the path"
        ) from None
    if path.is_symlink() and not is_there:
        fix = "correct the link, or give the path of the file itself"
        raise UsageError(f"This is a link to {pasteable(real)}, which is not there", where=pasteable(path), fix=fix)
    return real


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    dashboard: Path | None = None
    rules: Path | None = None


def _set(target: Target) -> _Named:
    """Return what the settings name, a file before the folder."""
    files, folder = target.files, _in_folder(target.files.monitoring_dir)
    return _Named(dashboard=files.dashboard or folder.dashboard, rules=files.rules or folder.rules)


def _in_folder(folder: Path | None) -> _Named:
    if folder is None:
        return _Named()
    return _Named(dashboard=folder / "grafana" / "dashboards" / DASHBOARD, rules=folder / RULES)


def _mounted_dashboard(target: Target, runtime: Runtime) -> Path:
    _must_be_mountable(target, DASHBOARD)
    service = target.grafana.as_service
    mounts = runtime.mounts(service)
    for mount in mounts:
        if PurePosixPath(mount.destination).name == DASHBOARD:
            return _on_this_host(runtime, mount, "", "--dashboard")
    for mount in mounts:
        candidates = paths_here(mount.source)
        path = _there(runtime, candidates, DASHBOARD)
        if path is not None:
            return path
        closed = next((one for one in candidates if runtime.host() == _HERE and _is_closed(one)), None)
        if closed is not None:
            raise UsageError(
                f"Docker mounts a folder into {service.container} that this user may not look into",
                where=pasteable(closed),
                fix="run as a user who may, or give --dashboard FILE",
            )
    raise _unnamed(DASHBOARD, service, "--dashboard")


def _is_closed(folder: Path) -> bool:
    """Whether a folder is there whose files this user may not see."""
    return os.access(folder, os.F_OK) and folder.is_dir() and not os.access(folder, os.X_OK)


def _loaded_rules(target: Target, runtime: Runtime) -> Path:
    _must_be_mountable(target, RULES)
    path = mounted_rules(target, runtime)
    if path is None:
        raise _unnamed(target.prometheus.rules_inside, target.prometheus.as_service, "--rules")
    return path


def _on_this_host(runtime: Runtime, mount: Mount, name: str, option: str) -> Path:
    """Return the source of a mount, or the file of that name in it."""
    candidates = paths_here(mount.source)
    path = _there(runtime, candidates, name)
    if path is not None:
        return path
    host = runtime.host()
    there = f"which is a path of {host}" if host != _HERE else "which is not on this host"
    tried = [str(one / name) for one in candidates if str(one) != mount.source] if host == _HERE else []
    nor = f" (nor is {' or '.join(tried)})" if tried else ""
    raise UsageError(
        f"Docker mounts {_joined(mount.source, name)}, {there}{nor}",
        where=f"bind mount of {mount.destination}, {runtime.described()}",
        fix=f"run on the host of the containers, or give {option} FILE",
    )


def _must_be_mountable(target: Target, name: str) -> None:
    """Raise UsageError for a target without a runtime: there only options and settings name a file."""
    if not target.runtime.is_managed:
        raise UsageError(
            f"The path of {name} is not set, and the runtime of this target is none: nothing can be asked for it",
            where="options, runbook.toml [targets.NAME.files], environment RUNBOOK_FILES_*",
            fix=f"set {target.files.place_of('monitoring_dir')} to the folder of both files, or "
            f"{inv('setup --monitoring-dir DIR')}",
        )


def _there(runtime: Runtime, candidates: tuple[Path, ...], name: str) -> Path | None:
    """Return the first that is there. A remote engine names paths of its own host: a file here would be another one."""
    if runtime.host() != _HERE:
        return None
    paths = (one / name for one in candidates)
    return next((path for path in paths if os.access(path, os.F_OK)), None)  # Path.exists() raises behind a closed door


def _joined(source: str, name: str) -> str:
    """Return a path of the engine's, in its own way of writing."""
    return f"{source}{'' if not name else ('/' if '/' in source else chr(92)) + name}"


def _unnamed(wanted: str, service: Service, option: str) -> UsageError:
    return UsageError(
        f"The path of {wanted} is not set, and no bind mount of {service.container} leads to it",
        where="options, runbook.toml [targets.NAME.files], environment RUNBOOK_FILES_*, Docker's mounts",
        fix=f"{inv('setup --monitoring-dir DIR')}, or {option} FILE",
    )
