"""The real Prometheus and Alertmanager: named, on PATH, or the distribution's packages unpacked into a cache."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import RunbookError, UsageError
from runbook.local_stack.fetching import cache_root, fetched_once, run_fetcher
from runbook.platforms import is_root
from runbook.shell import install

_PACKAGES = ("prometheus", "prometheus-alertmanager")
_NAMED = "set PROMETHEUS and ALERTMANAGER to the programs"
# Debian's programs read their templates and pages from this folder, by an absolute path. The unpacked copy gets a
# relative one of the same length, and is started in the folder where the packages are unpacked.
_ABSOLUTE, _RELATIVE = b"/usr/share/prometheus/", b"usr/share/prometheus//"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Paths of the programs, to be started in the folder `home`; promtool and amtool are optional."""

    prometheus: Path
    alertmanager: Path
    promtool: Path | None
    amtool: Path | None
    home: Path


def found_tools(says: Callable[[str], None]) -> Tools:
    """Find the programs, fetching the packages if neither the environment nor PATH has both. Raises RunbookError.

    `says` is told what is fetched. Sources, the first that has a program wins: PROMETHEUS, ALERTMANAGER, PROMTOOL
    and AMTOOL; PATH; the cache.
    """
    cached = cache_folder() / "usr/bin"
    prometheus, alertmanager = _found("prometheus", cached), _found("alertmanager", cached)
    if prometheus is None or alertmanager is None:
        _fetch(cache_folder(), says)
        prometheus, alertmanager = _found("prometheus", cached), _found("alertmanager", cached)
    if prometheus is None or alertmanager is None:
        raise RunbookError(
            "The unpacked packages hold no Prometheus or no Alertmanager",
            where=str(cached),
            fix=f"remove the folder {cache_folder()}, then again; or {_install()}",
        )
    return Tools(
        prometheus=prometheus,
        alertmanager=alertmanager,
        promtool=_found("promtool", cached),
        amtool=_found("amtool", cached),
        home=cache_folder() if cached.is_dir() else Path("/"),
    )


def cache_folder() -> Path:
    """Return where the packages are unpacked: one folder per kind of machine, since a home may be shared."""
    return cache_root() / f"packages-{platform.system()}-{platform.machine()}"


def _install() -> str:
    windows = "download both (prometheus.io/download), unpack them, and put their folders on PATH"
    how = install(apt="prometheus prometheus-alertmanager", brew="prometheus alertmanager", windows=windows)
    return f"{how}, or {_NAMED}"


def _found(tool: str, cached: Path) -> Path | None:
    named = os.environ.get(tool.upper())
    if named:
        return _executable(Path(named), variable=tool.upper())
    for name in (tool, f"prometheus-{tool}"):  # Debian calls alertmanager prometheus-alertmanager
        path = shutil.which(name) or shutil.which(name, path=cached)
        if path:
            return Path(path).absolute()
    return None


def _executable(path: Path, *, variable: str) -> Path:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise UsageError(
            f"{path} is not a program that can be run",
            where=f"environment variable {variable}",
            fix=f"correct or unset {variable}",
        )
    return path.absolute()


def _fetch(destination: Path, says: Callable[[str], None]) -> None:
    """Download and unpack the packages, if nobody has done it before."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise RunbookError(
            "Prometheus and Alertmanager are not here, and cannot be fetched: there is no apt-get",
            where="PATH",
            fix=_install(),
        )

    def fill(scratch: Path) -> Path:
        says(f"fetching the packages {' and '.join(_PACKAGES)} into {destination.parent}, once ...")
        return _unpacked(scratch)

    fetched_once(destination, fill)


def _unpacked(scratch: Path) -> Path:
    """Let apt-get work in folders of its own: it needs no root, and no package lists on the machine."""
    for folder in ("state/lists/partial", "cache/archives/partial", "root"):
        (scratch / folder).mkdir(parents=True)
    options = ("-qq", "-o", f"Dir::State={scratch}/state", "-o", f"Dir::Cache={scratch}/cache")
    user = ("-o", "APT::Sandbox::User=root") if is_root() else ()  # else _apt, who cannot see the scratch folder
    _run(("apt-get", *options, *user, "update"), scratch)
    _run(("apt-get", *options, *user, "download", *_PACKAGES), scratch)
    for package in sorted(scratch.glob("*.deb")):
        _run(("dpkg-deb", "-x", str(package), str(scratch / "root")), scratch)
    for program in (scratch / "root/usr/bin").iterdir():
        program.write_bytes(program.read_bytes().replace(_ABSOLUTE, _RELATIVE))
    return scratch / "root"


def _run(command: tuple[str, ...], directory: Path) -> None:
    run_fetcher(command, directory, what="The packages", fix=_install())
