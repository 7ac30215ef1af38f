"""The root file systems that the images are made from: Debian's packages, by `debootstrap`, which needs root.

Each is kept as an archive in the cache, so that another engine only imports it.
"""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.errors import UsageError
from runbook.local_stack.engine import docker
from runbook.local_stack.fetching import cache_root, fetched_once, run_fetcher

from .tags import is_there, tag

Says = Callable[[str], None]

_SUITE: Final = "bookworm"
_LEFT_OUT: Final = (
    "usr/share/javascript",
    "usr/share/doc",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
_ARCHIVE: Final = "root.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root file system: its packages, and the paths of it that no image needs (patterns of tar)."""

    name: str
    packages: tuple[str, ...]
    left_out: tuple[str, ...] = _LEFT_OUT

    @property
    def tag(self) -> str:
        """Return the tag of its image."""
        return tag(self.name, _SUITE, *self.packages, *self.excluded)

    @property
    def excluded(self) -> tuple[str, ...]:
        """Return the options with which tar leaves those paths out."""
        return tuple(f"--exclude=./{path}" for path in self.left_out)


ROOT: Final = Root(
    name="root",
    packages=(
        "python3-minimal",
        "libpython3-stdlib",
        "python3-venv",  # with it this is a base for sink/Dockerfile as well
        "libjemalloc2",  # the same
        "nginx-light",
        "socat",
        "wget",  # for health checks: the official images have that of busybox
        "prometheus",
        "prometheus-alertmanager",
    ),
)
REAL_ROOT: Final = Root(
    name="root-real",
    packages=("openjdk-17-jre-headless", "postgresql-15"),
    left_out=(
        *_LEFT_OUT,
        "var/lib/postgresql/15",  # the database that Debian makes at once
        "usr/lib/*/libLLVM*",  # of PostgreSQL's compiler of queries, which is left out with it: 150 MB
        "usr/lib/postgresql/15/lib/llvmjit*",
        "usr/lib/postgresql/15/lib/bitcode",
    ),
)
"""What the real Kafka, Keycloak and PostgreSQL run on."""


def root_image(says: Says, root: Root = ROOT) -> str:
    """Return the image of a root file system, made now if need be. Raises UsageError, RunbookError."""
    if is_there(root.tag):
        return root.tag
    archive = root_archive(says, root)
    says(f"importing {archive} as {root.tag} ...")
    docker("import", str(archive), root.tag)
    return root.tag


def root_archive(says: Says, root: Root = ROOT) -> Path:
    """Return the archive of a root file system, made now if need be. Raises UsageError, RunbookError."""
    kept = cache_root() / f"{root.name}-{root.tag.partition(':')[2]}-{platform.machine()}"
    return fetched_once(kept, lambda scratch: _bootstrapped(root, scratch, says)) / _ARCHIVE


def _bootstrapped(root: Root, scratch: Path, says: Says) -> Path:
    """Make the root file system; a mount namespace of its own takes all mounts with it, however it ends."""
    fix = "apt-get install debootstrap, as root; or name an image for each part, see docs/DOCKER.md"
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise UsageError(
            "The root file system of the images cannot be made: that takes root and debootstrap",
            where="debootstrap",
            fix=fix,
        )
    says(f"making a root file system for images: Debian {_SUITE} with {', '.join(root.packages)}, once, a minute ...")
    folder, kept = scratch / "root", scratch / "kept"
    kept.mkdir()
    make = ("unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={','.join(root.packages)}")
    pack = ("tar", "--create", "--use-compress-program=gzip -1", f"--file={kept / _ARCHIVE}", f"--directory={folder}")
    run_fetcher((*make, _SUITE, str(folder)), scratch, what="The root file system", fix=fix)
    run_fetcher((*pack, *root.excluded, "."), scratch, what="The root file system", fix=fix)
    return kept
