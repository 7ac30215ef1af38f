"""Where the contestants' programs come from: PATH, the distribution's packages, a private environment, a compiler."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.measuring.broker import CHECKOUT
from benchmarks.measuring.model import NotAvailableError
from runbook.local_stack.fakes.broker.cluster import library_path
from runbook.local_stack.tools import cache_folder

PEERS: Final = CHECKOUT / "benchmarks/peers"
_PACKAGES: Final = ("kcat", "libyajl2", "librdkafka1", "librdkafka-dev", "libjemalloc2")
_INSTALL_S: Final = 600


@cache
def kcat() -> Sequence[str]:
    """Return the first words of a command that runs kcat. Raises NotAvailableError."""
    if installed := shutil.which("kcat"):
        return (installed,)
    root = _unpacked()
    libraries = ":".join(sorted({str(path.parent) for path in root.rglob("lib*.so*")}))
    return ("env", f"LD_LIBRARY_PATH={libraries}", str(root / "usr/bin/kcat"))


@cache
def peers_python() -> Path:
    """Return the interpreter of an environment with the packages of peers.lock. Raises NotAvailableError."""
    lock = PEERS / "peers.lock"
    stamp = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = _cache(f"peers-{stamp}")
    if not home.exists():
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="making-") as scratch:
            draft = Path(scratch) / "venv"
            _run((sys.executable, "-m", "venv", str(draft)))
            pip = (str(draft / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
            _run((*pip, "--require-hashes", "--requirement", str(lock)))
            draft.rename(home)
    return home / "bin/python"


@cache
def ceiling() -> Path:
    """Compile the C loop against the librdkafka that the sink uses, too. Raises NotAvailableError."""
    compiler = shutil.which("cc")
    if not compiler:
        raise NotAvailableError("there is no C compiler")
    include = (
        Path("/usr/include") if Path("/usr/include/librdkafka/rdkafka.h").exists() else _unpacked() / "usr/include"
    )
    library, program = library_path(), _cache(f"ceiling-{platform.machine()}")
    search = f"-Wl,-rpath,{library.parent}", f"-Wl,-rpath-link,{library.parent}"
    source = str(PEERS / "ceiling.c")
    _run((compiler, "-O2", "-Wall", f"-I{include}", source, str(library), *search, "-o", str(program)))
    return program


@cache
def jemalloc() -> Path:
    """Return the allocator that the sink's image preloads. Raises NotAvailableError."""
    listed = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin:/bin")
    known = subprocess.run((listed, "-p"), capture_output=True, text=True, check=False).stdout if listed else ""
    installed = [Path(line.rpartition("=> ")[2]) for line in known.splitlines() if "libjemalloc.so.2 " in line]
    return installed[0] if installed else next(_unpacked().rglob("libjemalloc.so.2"))


def _cache(name: str) -> Path:
    folder = cache_folder().with_name("benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _unpacked() -> Path:
    """Download the packages once and unpack them, without root."""
    stamp = hashlib.sha256(" ".join(_PACKAGES).encode()).hexdigest()[:8]
    root = _cache(f"packages-{stamp}-{platform.machine()}")
    if not root.exists():
        with tempfile.TemporaryDirectory(dir=root.parent, prefix="fetch-") as scratch:
            _run(("apt-get", "-qq", "download", *_PACKAGES), directory=Path(scratch))
            draft = Path(scratch) / "root"
            for package in sorted(Path(scratch).glob("*.deb")):
                _run(("dpkg-deb", "-x", str(package), str(draft)))
            draft.rename(root)
    return root


def _run(command: Sequence[str], directory: Path = CHECKOUT) -> None:
    try:
        subprocess.run(
            command,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            timeout=_INSTALL_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise NotAvailableError(f"{command[0]}: {error.stdout.decode(errors='replace').strip()[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailableError(str(error)) from error
