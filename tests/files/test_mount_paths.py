r"""Where a bind mount's source is on this host, of all the ways in which engines write it, on every platform."""

from pathlib import Path, PurePath, PureWindowsPath
from typing import cast

import pytest

from runbook.errors import UsageError
from runbook.files import file_discovery, mount_paths
from runbook.files.file_discovery import DASHBOARD, dashboard_path, rules_path
from runbook.files.mount_paths import paths_here
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service

LIVE = Target.from_tables("live", {}, source="test")
# What engines have been seen to answer for the file C:\Users\me\m\rules.yml, then for others; the folder of WSL is
# Ubuntu's. On a platform that is not named the source cannot be here.
WINDOWS = r"C:\Users\me\m\rules.yml"
WSL = "/mnt/c/Users/me/m/rules.yml"
SOURCES: dict[str, dict[str, str]] = {
    r"C:\Users\me\m\rules.yml": {"win32": WINDOWS, "wsl": WSL},
    r"c:\Users\me\m\rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "C:/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "/run/desktop/mnt/host/c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "/host_mnt/c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "/mnt/host/c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "/c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "//c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    "/mnt/c/Users/me/m/rules.yml": {"win32": WINDOWS, "wsl": WSL},
    r"C:\Users\me\One Drive\ä.yml": {"win32": r"C:\Users\me\One Drive\ä.yml", "wsl": "/mnt/c/Users/me/One Drive/ä.yml"},
    r"\\wsl$\Ubuntu\home\me\r.yml": {"win32": r"\\wsl.localhost\Ubuntu\home\me\r.yml", "wsl": "/home/me/r.yml"},
    r"\\wsl.localhost\Ubuntu\home\me\r.yml": {"win32": r"\\wsl$\Ubuntu\home\me\r.yml", "wsl": "/home/me/r.yml"},
    "//wsl$/Ubuntu/home/me/r.yml": {"win32": r"\\wsl$\Ubuntu\home\me\r.yml", "wsl": "/home/me/r.yml"},
    r"\\wsl$\Debian\home\me\r.yml": {"win32": r"\\wsl$\Debian\home\me\r.yml"},
    r"\\server\share\r.yml": {"win32": r"\\server\share\r.yml"},
    "/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/Ubuntu/f00": {
        "wsl": "/mnt/wsl/docker-desktop-bind-mounts/Ubuntu/f00"
    },
    "/host_mnt/Users/me/r.yml": {"darwin": "/Users/me/r.yml"},
    "/host_mnt/home/me/r.yml": {"linux": "/home/me/r.yml"},
    "/home/me/r.yml": {"linux": "/home/me/r.yml", "darwin": "/home/me/r.yml", "wsl": "/home/me/r.yml"},
    "/srv/c/r.yml": {"linux": "/srv/c/r.yml"},
    "/mnt/data/r.yml": {"linux": "/mnt/data/r.yml", "wsl": "/mnt/data/r.yml"},
}
PLATFORMS = ("linux", "darwin", "win32", "wsl")


def candidates(source: str, platform: str) -> tuple[PurePath, ...]:
    if platform == "wsl":
        return mount_paths.mount_paths(source, "linux", is_wsl=True, distribution="Ubuntu")
    return mount_paths.mount_paths(source, platform)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_file_of_this_host_is_among_what_is_looked_for(source: str, platform: str) -> None:
    """And where it cannot be here, nothing is looked for but a path of that very name."""
    found = [str(path) for path in candidates(source, platform)]

    expected = SOURCES[source].get(platform)
    if expected is None:
        assert not [path for path in found if path != source and not source.startswith("/host_mnt")]
    else:
        assert expected in found


@pytest.mark.parametrize("source", SOURCES)
def test_every_candidate_is_absolute(source: str) -> None:
    r"""A relative one would be another file: `C:\x` is a name in the working directory on Linux."""
    for platform in PLATFORMS:
        assert all(path.is_absolute() for path in candidates(source, platform)), platform


def test_a_path_of_linux_is_none_of_the_current_drive_of_windows() -> None:
    assert candidates("/home/me/r.yml", "win32") == ()
    assert PureWindowsPath("/home/me/r.yml").drive == ""  # what it would have been


def test_another_drive_and_another_distribution_are_told_apart() -> None:
    """A control: each differs in one letter."""
    assert candidates("/host_mnt/d/r.yml", "win32") == (PureWindowsPath(r"D:\r.yml"),)
    assert candidates(r"\\wsl$\Debian\home\me\r.yml", "wsl") == ()


def engine(source: str, name: str) -> Runtime:
    class Answers:
        def mounts(self, service: Service) -> tuple[Mount, ...]:
            inside = f"/dashboards{name}" if service.name == "grafana" else f"/etc/prometheus{name or ''}"
            return (Mount(source=source, destination=inside),)

        def host(self) -> str:
            return "localhost"

        def described(self) -> str:
            return "Docker engine at npipe:////./pipe/docker_engine (the default)"

    return cast("Runtime", Answers())


def test_the_candidate_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is mounted whose source the engine writes in its own way, and a file."""
    (tmp_path / DASHBOARD).write_text("{}")
    monkeypatch.setattr(file_discovery, "paths_here", lambda _: (tmp_path / "not there", tmp_path))

    assert dashboard_path(LIVE, engine("/host_mnt/c/m", "")) == tmp_path / DASHBOARD

    (tmp_path / "crm-events-rules.yml").write_text("")
    assert rules_path(LIVE, engine("/host_mnt/c/m", "")) == tmp_path / "crm-events-rules.yml"


@pytest.mark.posix("paths of Unix")
def test_docker_desktop_of_a_mac_is_recognised_here(tmp_path: Path) -> None:
    """Without any replacement: what `/host_mnt` stands before is the path of this host."""
    (tmp_path / DASHBOARD).write_text("{}")

    assert dashboard_path(LIVE, engine(f"/host_mnt{tmp_path}/{DASHBOARD}", f"/{DASHBOARD}")) == tmp_path / DASHBOARD


@pytest.mark.posix("paths of Unix")
def test_what_was_tried_is_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSL_DISTRO_NAME", "Ubuntu")
    assert [str(path) for path in paths_here(r"C:\nowhere")] == ["/mnt/c/nowhere"]

    with pytest.raises(UsageError) as caught:
        dashboard_path(LIVE, engine(rf"C:\nowhere\{DASHBOARD}", f"/{DASHBOARD}"))

    assert caught.value.seen == (
        rf"Docker mounts C:\nowhere\{DASHBOARD}, which is not on this host (nor is /mnt/c/nowhere/{DASHBOARD})"
    )
    assert "npipe:////./pipe/docker_engine (the default)" in caught.value.where
