"""`./inv` on a new machine: a fresh clone in a path with spaces, a fresh HOME, a user who is not root."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = pwd.getpwnam("nobody")
NEEDED = ("sh", "cat", "cksum", "dirname", "tail", "rm", "env")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach: pytest's own are below a private one."""
    with tempfile.TemporaryDirectory(prefix="crm runbook ", dir="/var/tmp") as name:
        found = Path(name)
        found.chmod(0o755)
        yield found


def a_clone(folder: Path, name: str = "a fresh clone") -> Path:
    """Return a clone of what is committed."""
    clone = folder / name
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    return clone


def fresh(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment with a HOME of its own and nothing of this run's."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "LANG"))}
    return {**kept, "HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", **more}


def as_user(folder: Path) -> dict[str, int]:
    """Return who runs the command: nobody if we are root (who then owns the folder), else ourselves."""
    if os.geteuid():
        return {}
    for path in (folder, *folder.rglob("*")):
        os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid}


def a_path(folder: Path, *, python: str = "") -> str:
    """Return a PATH with the tools that the wrapper uses, and `python3` as the given script, if any."""
    tools = folder / "bin"
    tools.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    if python:
        (tools / "python3").write_text(f"#!/bin/sh\n{python}\n", encoding="utf-8")
        (tools / "python3").chmod(0o755)
    return str(tools)


def test_without_python_it_says_what_to_install(folder: Path) -> None:
    done = Runner(environment=fresh(folder, PATH=a_path(folder)), user={}).inv(a_clone(folder), "--list")

    assert done.returncode == 4
    assert "No Python 3.11 or newer was found" in done.stderr
    assert "Fix: apt-get install python3 python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_python_3_10_it_says_so_and_what_to_install(folder: Path) -> None:
    old = 'if [ "$1" = --version ]; then echo Python 3.10.13; else exit 1; fi'

    done = Runner(environment=fresh(folder, PATH=a_path(folder, python=old)), user={}).inv(a_clone(folder), "--list")

    assert done.returncode == 4
    assert "python3 is Python 3.10.13" in done.stderr
    assert "Fix: apt-get install" in done.stderr


def test_without_the_venv_module_it_says_what_to_install(folder: Path) -> None:
    """Debian splits ensurepip off: `python3 -m venv` then fails, and leaves half an environment."""
    module = folder / "without" / "venv"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(
        "import os, sys\nos.makedirs(sys.argv[-1])\nprint('ensurepip is not available')\nsys.exit(1)\n"
    )
    clone = a_clone(folder)
    environment = fresh(folder, PYTHONPATH=str(module.parent), PYTHON=sys.executable)

    done = Runner(environment=environment, user={}).inv(clone, "--list")

    assert done.returncode == 4
    assert "ensurepip is not available" in done.stderr
    assert "Fix: apt-get install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_in_a_checkout_that_cannot_be_written_it_says_so(folder: Path) -> None:
    """Exit code 4, not the shell's own 2, which means changes pending."""
    clone = a_clone(folder)
    user = as_user(folder)
    clone.chmod(0o555)

    done = Runner(environment=fresh(folder), user=user).inv(clone, "--list")

    clone.chmod(0o755)
    assert done.returncode == 4
    assert "this checkout cannot be written" in done.stderr
    assert "Fix: run ./inv once as its owner" in done.stderr


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_fresh_clones_demonstrate_the_runbook_for_any_user_at_once_and_again(folder: Path) -> None:
    """The README's first command, as somebody who is not root: 5/5, 7/7, a clean tree, nothing left running."""
    one, other = a_clone(folder, "one clone"), a_clone(folder, "another clone")
    run = Runner(environment=fresh(folder), user=as_user(folder))

    with ThreadPoolExecutor() as pool:
        listed = pool.submit(run.inv, one, "--list")  # at the same time as the first demo: one of them installs
        first, second = pool.map(lambda clone: run.inv(clone, "demo"), (one, other))
    again = run.inv(one, "demo")

    assert listed.result().returncode == 0, listed.result().stderr
    for done in (first, second, again):
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Success criteria: 5 of 5 met" in done.stdout
        assert "7 of 7 proven" in done.stdout
    for clone in (one, other):
        assert status_of(clone) == ""
        assert left_running(clone) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Somebody with a fresh home who runs `./inv`."""

    environment: dict[str, str]
    user: dict[str, int]

    def inv(self, clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            ["./inv", *arguments],
            cwd=clone,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
            **self.user,
        )


def status_of(clone: Path) -> str:
    """Return what git finds changed or new in a clone, whoever owns it."""
    command = ["git", "-c", "safe.directory=*", "status", "--porcelain"]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout


def left_running(clone: Path) -> list[str]:
    """Return the command lines of processes that name the clone."""
    listed = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(clone) in line]
