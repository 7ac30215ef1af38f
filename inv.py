"""The first use of a checkout, for `inv` and `inv.cmd`: makes .venv from requirements.lock, once, whoever comes first.

    python inv.py install STAMP    what `inv` calls: it has seen that .venv/stamp is another one
    python inv.py run ARGUMENTS    what `inv.cmd` calls, with .venv's Python, or another one where there is none

Nothing is installed yet, so only the standard library is imported. `run` leaves with 103 where .venv must be made and
this is its own Python: no program of .venv may run meanwhile. Exit codes are else those of the README.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn, TextIO

from runbook.platforms import lock, opened

ROOT: Final = Path(__file__).resolve().parent
VENV: Final = ROOT / ".venv"
STAMP: Final = VENV / "stamp"
MAKE_FIRST: Final = 103
_IS_WINDOWS: Final = os.name == "nt"
_PYTHON: Final = VENV / ("Scripts/python.exe" if _IS_WINDOWS else "bin/python")
_SYSTEM: Final = 4
_INTERRUPTED: Final = 130
_PIP: Final = (str(_PYTHON), "-m", "pip")
_QUIET: Final = ("--quiet", "--disable-pip-version-check", "--no-input")


def main(command: str, *arguments: str) -> int:
    """Install, or run; return the exit code."""
    try:
        return _install(arguments[0]) if command == "install" else _run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _install(stamp: str) -> int:
    """Make .venv what the lock says, unless another run has done so meanwhile."""
    with _alone():
        if not _has(stamp):
            version = sys.version.split()[0]
            _say(f"First use: installing the pinned packages into .venv (Python {version}), about half a minute ...")
            _make_environment()
            _install_packages()
            STAMP.write_bytes(os.fsencode(f"{stamp}\n"))
    return 0


def _run(arguments: Sequence[str]) -> int:
    """Run the tasks in .venv; in this very process where it is that of .venv."""
    is_of_venv = Path(sys.prefix).resolve() == VENV
    if not _has(_wanted_stamp()):
        if is_of_venv:
            return MAKE_FIRST
        _install(_wanted_stamp())
    if not is_of_venv:
        return subprocess.run((str(_PYTHON), __file__, "run", *arguments), check=False).returncode
    os.environ["CRM_RUNBOOK_PROGRAM"] = _typed()
    sys.argv = ["inv", *arguments]
    from runbook.__main__ import main as run_tasks  # noqa: PLC0415 - only there it is installed

    run_tasks()
    return 0


def _typed() -> str:
    r"""Return what can be typed again; PowerShell runs a program of the current folder only with .\ before it."""
    return r".\inv.cmd" if Path.cwd() == ROOT else str(ROOT / "inv.cmd")


def _wanted_stamp() -> str:
    """Return what `inv` writes, by a hash that Windows has: what .venv is made of, and where it was made."""
    content = (ROOT / "requirements.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return f"{hashlib.sha256(content).hexdigest()}\n{ROOT}"


def _has(stamp: str) -> bool:
    return STAMP.is_file() and STAMP.read_bytes() == os.fsencode(f"{stamp}\n")


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for other first runs. pip holds the lock with us: it may outlive us."""
    try:
        held = opened(ROOT / ".venv.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        _fail(
            "The packages cannot be installed: this checkout cannot be written.",
            f"{ROOT}: {error.strerror}",
            f"Fix: run {_program()} once as its owner, or clone it to a folder that you may write to",
        )
    os.set_inheritable(held, True)  # noqa: FBT003 - the name of the function says what
    lock(held)
    try:
        yield
    finally:
        os.close(held)


def _make_environment() -> None:
    """Keep what is there if it was made here and works, to be brought up to date; else make it from nothing."""
    if STAMP.is_file() and STAMP.read_bytes().endswith(os.fsencode(f"\n{ROOT}\n")) and _works():
        STAMP.unlink()
        return
    made = _called((sys.executable, "-m", "venv", "--clear", str(VENV)), stdout=subprocess.PIPE)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        _fail(
            made.stdout.decode(errors="replace"),
            "Python could not make a virtual environment.",
            f"{sys.executable} -m venv {VENV}",
            f"Fix: {_venv_fix()}, then {_program()} again",
        )


def _works() -> bool:
    try:
        return _called((str(_PYTHON), "-c", ""), stdout=subprocess.PIPE).returncode == 0
    except OSError:
        return False


def _install_packages() -> None:
    locked = ("--require-hashes", "--no-deps", "-r", str(ROOT / "requirements.lock"))
    ours = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    for what in (locked, ours):
        if _called((*_PIP, "install", *_QUIET, *what), stdout=sys.stderr).returncode:
            _fail(
                "",
                "The packages of requirements.lock could not be installed.",
                f"{' '.join(_PIP)} install -r {ROOT / 'requirements.lock'}",
                f"Fix: see pip's lines above (network, index, disk), then {_program()} again; "
                "nothing outside .venv was touched",
            )


def _called(command: Sequence[str], *, stdout: int | TextIO) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        close_fds=False,  # the lock goes along
        check=False,
    )


def _venv_fix() -> str:
    if _IS_WINDOWS:
        return "install Python from python.org, with pip (PYTHON=C:\\path\\to\\python.exe chooses another one)"
    if sys.platform == "darwin":
        return "brew install python  (or PYTHON=/path/to/another/python3)"
    return "apt-get install python3-venv  (needs no root: virtualenv, PYTHON=/path/to/another/python3)"


def _program() -> str:
    return _typed() if _IS_WINDOWS else os.environ.get("CRM_RUNBOOK_PROGRAM", "inv")


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _fail(*lines: str) -> NoReturn:
    _say(*lines)
    sys.exit(_SYSTEM)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
