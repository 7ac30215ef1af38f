r"""Where a bind mount's source is on this host, of all the ways in which engines write it.

Docker Desktop runs the engine in a machine of its own, and so tells paths of that machine: `C:\Users\me` is
`/run/desktop/mnt/host/c/Users/me`, `/host_mnt/c/Users/me`, `/c/Users/me` or `C:\Users\me`, by version and by who
started the container; macOS's `/Users/me` is `/host_mnt/Users/me`. A distribution of WSL sees the drives below `/mnt`,
and shares `/mnt/wsl` with the machine. Source: docker/for-win and docker/for-mac, "bind mount source" in issues.
"""

import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final

_WINDOWS: Final = "win32"
_DRIVE: Final = re.compile(
    r"(?:(?:/run/desktop/mnt/host|/host_mnt|/mnt/host|/mnt|/)?/([a-z])|([a-z]):)(?:/(.*))?", re.IGNORECASE
)
_SHARE: Final = re.compile(r"//wsl(?:\$|\.localhost)/([^/]+)(/.*)?", re.IGNORECASE)
_MACHINE: Final = "/host_mnt"
_SHARED: Final = "/run/desktop/mnt/host/wsl/"


def mount_paths(
    source: str, platform: str = sys.platform, *, is_wsl: bool = False, distribution: str = ""
) -> tuple[PurePath, ...]:
    r"""Return the paths that may be the source on this host, the likeliest first; none if it cannot be here.

    `platform` is `sys.platform`; `is_wsl` means a distribution of WSL, and `distribution` is its name, if it is known:
    `\\wsl$\NAME\...` is a path of that one alone.
    """
    plain = source.replace("\\", "/") if _is_of_windows(source) else source
    share = _SHARE.fullmatch(plain)
    drive = None if share else _on_drive(plain)
    if platform == _WINDOWS:
        return _on_windows(source, drive, share)
    found = [PurePosixPath(source)] if source.startswith("/") and not share else []
    if is_wsl and drive:
        found.append(PurePosixPath("/mnt", drive.letter.lower(), drive.path))
    if is_wsl and share and distribution and share[1].lower() == distribution.lower():
        found.append(PurePosixPath(share[2] or "/"))
    if is_wsl and source.startswith(_SHARED):
        found.append(PurePosixPath("/mnt/wsl", source.removeprefix(_SHARED)))
    if source.startswith(f"{_MACHINE}/"):
        found.append(PurePosixPath(source.removeprefix(_MACHINE)))
    return tuple(dict.fromkeys(found))


def paths_here(source: str) -> tuple[Path, ...]:
    """Return the same for this interpreter."""
    name = os.environ.get("WSL_DISTRO_NAME", "")
    is_wsl = bool(name) or "microsoft" in platform.release().lower()
    return tuple(Path(path) for path in mount_paths(source, is_wsl=is_wsl, distribution=name))


def _is_of_windows(source: str) -> bool:
    r"""Whether it is written as Windows writes paths: `C:\...`, `C:/...`, `\\server\...` or `//wsl$/...`."""
    return bool(re.match(r"[a-z]:([\\/]|$)|\\\\|//wsl(\$|\.localhost)/", source, re.IGNORECASE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnDrive:
    letter: str
    path: str


def _on_drive(source: str) -> _OnDrive | None:
    found = _DRIVE.fullmatch(source)
    return _OnDrive(letter=found[1] or found[2], path=found[3] or "") if found else None


def _on_windows(source: str, drive: _OnDrive | None, share: re.Match[str] | None) -> tuple[PurePath, ...]:
    r"""Return a path of a drive or of a share: `/home/me` would be another file, on the current drive."""
    if share:
        path = (share[2] or "/").replace("/", "\\")
        return tuple(PureWindowsPath(rf"\\{host}\{share[1]}{path}") for host in ("wsl.localhost", "wsl$"))
    if drive:
        return (PureWindowsPath(f"{drive.letter.upper()}:/", drive.path),)
    return (PureWindowsPath(source),) if _is_of_windows(source) else ()
