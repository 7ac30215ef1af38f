"""Addresses of engines: what is taken, and the right form of what is not, for a setting and a variable alike."""

import re

import pytest
from docker.utils import parse_host

from runbook.errors import UsageError
from runbook.settings import load_target
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.engine_addresses import EngineAddressError, check_engine_address, default_address
from runbook.systems.runtime_settings import RuntimeSettings

RIGHT = {
    "linux": (
        "unix:///var/run/docker.sock",
        "unix:///Users/John Doe/.docker/run/docker.sock",
        "tcp://127.0.0.1:2375",
        "tcp://[::1]:2376",
        "tcp://:2375",
        "tcp://engine.example:2375/prefix",
        "ssh://ops@db1",
        "ssh://db1:2222",
    ),
    "win32": ("npipe:////./pipe/docker_engine", "npipe:////./pipe/dockerDesktopLinuxEngine", "tcp://127.0.0.1:2375"),
}
WRONG = [
    ("linux", "/run/user/1000/podman/podman.sock", "has no scheme", "unix:///run/user/1000/podman/podman.sock"),
    ("linux", "~/.colima/default/docker.sock", "has no scheme", "unix:///home/me/.colima/default/docker.sock"),
    ("linux", "engine.example:2375", "has no scheme", "tcp://engine.example:2375"),
    ("linux", "unix:/var/run/docker.sock", "has no scheme", "unix:///var/run/docker.sock"),
    ("linux", "unix://var/run/docker.sock", "no absolute path", "unix:///var/run/docker.sock"),
    ("linux", "unix://", "no absolute path", "unix:///var/run/docker.sock"),
    ("linux", "UNIX:///var/run/docker.sock", "begins with UNIX://", "unix:///var/run/docker.sock"),
    ("linux", "http+unix:///run/d.sock", "begins with http+unix://", "unix:///run/d.sock"),
    ("linux", "http+unix://%2Frun%2Fd.sock", "begins with http+unix://", "unix:///run/d.sock"),
    ("linux", "fd://", "begins with fd://", "unix:///var/run/docker.sock"),
    ("linux", "http://engine:2375", "begins with http://", "tcp://engine:2375"),
    ("linux", "https://engine", "begins with https://", "tcp://engine:2376"),
    ("linux", "tcp://engine", "has no port", "tcp://engine:2375"),
    ("linux", "tcp://engine:", "has no port", "tcp://engine:2375"),
    ("linux", "tcp://engine:99999", "no host and port", "tcp://HOST:2375"),
    ("linux", "tcp://en gine:2375", "no host and port", "tcp://HOST:2375"),
    ("linux", "tcp://::1:2375", "no host and port", "tcp://HOST:2375"),
    ("linux", "tcp://engine:2375?x=1", "no host and port", "tcp://engine:2375"),
    ("linux", " tcp://engine:2375", "space", "tcp://engine:2375"),
    ("linux", "tcp://engine:2375\n", "space", "tcp://engine:2375"),
    ("linux", "npipe:////./pipe/docker_engine", "Windows alone", "unix:///var/run/docker.sock"),
    ("linux", "ssh://", "has no host", "ssh://USER@HOST"),
    ("linux", "vsock://3:2375", "begins with vsock://", "tcp://HOST:2375"),
    ("win32", "unix:///var/run/docker.sock", "Unix socket", "npipe:////./pipe/docker_engine"),
    ("win32", r"\\.\pipe\docker_engine", "has no scheme", "npipe:////./pipe/docker_engine"),
    ("win32", r"npipe://\\.\pipe\docker_engine", "as a pipe", "npipe:////./pipe/docker_engine"),
    ("win32", "npipe:////pipe/podman-machine-default", "as a pipe", "npipe:////./pipe/podman-machine-default"),
]


@pytest.mark.parametrize(("platform", "address"), [(one, address) for one, all_ in RIGHT.items() for address in all_])
def test_what_the_docker_program_takes_is_taken(platform: str, address: str) -> None:
    """The SDK takes it, too."""
    check_engine_address(address, platform)

    assert parse_host(address, platform == "win32")


@pytest.mark.parametrize(("platform", "address", "mistake", "right"), WRONG)
def test_another_form_is_named_with_the_right_one(
    platform: str, address: str, mistake: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")

    with pytest.raises(EngineAddressError, match=re.escape(mistake)) as caught:
        check_engine_address(address, platform)

    assert caught.value.right == right
    if "HOST" not in right:
        check_engine_address(right, platform)


def test_the_default_of_each_platform_is_right_there() -> None:
    for platform in ("linux", "darwin", "win32"):
        check_engine_address(default_address(platform), platform)


@pytest.mark.posix("Unix sockets")
@pytest.mark.parametrize(("platform", "address", "mistake", "right"), [one for one in WRONG if one[0] == "linux"])
def test_a_wrong_form_is_a_mistake_of_the_settings_wherever_it_stands(
    platform: str, address: str, mistake: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 and the right form, before anything is connected to; an engine that is down is another matter."""
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(UsageError, match=re.escape(mistake)) as of_docker:
        DockerRuntime(RuntimeSettings())
    monkeypatch.setenv("RUNBOOK_RUNTIME_DOCKER_HOST", address)
    with pytest.raises(UsageError, match=re.escape(mistake)) as of_ours:
        load_target("live")

    assert (of_docker.value.where, int(of_docker.value.exit_code)) == ("environment variable DOCKER_HOST", 4)
    assert of_docker.value.fix == f"write it like this: DOCKER_HOST={right}"
    assert "RUNBOOK_RUNTIME_DOCKER_HOST" in of_ours.value.where
    assert f"RUNBOOK_RUNTIME_DOCKER_HOST={right} (" in of_ours.value.fix.replace("'", "")
