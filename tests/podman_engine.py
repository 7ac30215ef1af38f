"""A Podman of the tests' own: its service at a socket, and small containers that run a few lines of Python.

The service has name spaces of its own for mounts, network and processes, and an own /run: when it ends, its containers,
bridges, rules and mounts end with it, and what it has stored is removed. So it changes nothing of this host, and a port
that it publishes is reached from within its network alone (`heard`). It can pull nothing: its image is the root file
system of the other images.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import psutil
import pytest

from runbook.errors import RunbookError
from runbook.local_stack.engine import run
from runbook.systems.runtime import Service
from tests.contracts.contract_parts import eventually
from tests.images.root_images import root_archive

_IMAGE: Final = "localhost/crm-events-runbook/root:podman"
_PROGRAMS: Final = ("podman", "unshare", "nsenter", "setpriv", "ip")
_ALONE: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")
_SERVICE: Final = """
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/cni
mount -t tmpfs tmpfs /var/lib/cni
ip link set lo up
exec podman --root {folder}/root --runroot {folder}/run --tmpdir {folder}/tmp --storage-driver overlay \
    --cgroup-manager cgroupfs --events-backend file --cni-config-dir {folder}/networks \
    system service --time 0 unix://{folder}/podman.sock
"""
_HEARD: Final = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as connection:
    sys.stdout.buffer.write(connection.recv(5))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """A service that runs: its address, and the process in whose network it is."""

    url: str
    process: int

    def __call__(self, *arguments: str) -> str:
        """Run podman on it, and return what it printed."""
        return run(("podman", "--remote", "--url", self.url, *arguments))

    def start(self, code: str, *options: str, name: str = "") -> Service:
        """Start a container that runs these lines."""
        name = name or f"crm-test-{uuid4().hex[:8]}"
        self("run", "--detach", "--name", name, *options, _IMAGE, "python3", "-u", "-c", code)
        return Service(name=name, container=name)

    def heard(self, host: str, port: int) -> bytes:
        """Return what a port of its network says first."""
        enter = ("nsenter", "--target", str(self.process), "--net", sys.executable, "-c", _HEARD, host, str(port))
        return subprocess.run(enter, capture_output=True, check=True, timeout=30).stdout


@contextmanager
def podman_service() -> Iterator[Podman]:
    """Run one as long as the block. Skips, and says why, where that cannot be."""
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if missing or os.geteuid() != 0:
        pytest.skip(f"Podman cannot be run here: {', '.join(missing) or 'that takes root'}")
    try:
        archive = root_archive(print)
    except RunbookError as error:
        pytest.skip(f"Podman has no image here: {error.seen.splitlines()[-1]}")
    with TemporaryDirectory(prefix="podman-") as folder, (Path(folder) / "log").open("wb") as log:
        command = (*_ALONE, "--mount-proc", "--", "sh", "-ec", _SERVICE.format(folder=folder))
        outer = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            eventually(lambda: (Path(folder) / "podman.sock").exists() or None, "Podman's socket")
            [inner] = psutil.Process(outer.pid).children()
            podman = Podman(url=f"unix://{folder}/podman.sock", process=inner.pid)
            podman("import", str(archive), _IMAGE)
            yield podman
            podman("rm", "--all", "--force", "--time", "0")
        finally:
            for one in psutil.Process(outer.pid).children():
                one.send_signal(signal.SIGKILL)  # the first process of its name space: all others go with it
            outer.wait(30)
            _remove_groups()


def _remove_groups() -> None:
    """Remove the control groups that Podman leaves; those of another Podman are in use, and stay."""
    for group in sorted(Path("/sys/fs/cgroup").glob("**/libpod_parent/**/"), reverse=True):
        with suppress(OSError):
            group.rmdir()
