"""`inv.cmd` on a new machine: a fresh clone in a path with what cmd treats as special, run by wine's cmd.exe."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.locked import as_lines, asked_for, locked, reached, system
from tests.windows.interpreter import ROOT, WindowsPython, windows_path

pytestmark = [pytest.mark.windows, pytest.mark.timeout(600)]

FIRST_USE = "First use: installing the pinned packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A fresh clone, and somebody who runs inv.cmd in it, with the wheels at hand and no network."""

    windows: WindowsPython
    folder: Path

    def inv(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run inv.cmd to its end as cmd.exe does."""
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": windows_path(self.windows.wheels), "PIP_NO_COMPILE": "1"}
        python = {"WINEPATH": windows_path(self.windows.program)}
        done = self.windows.run(
            ("cmd", "/c", "inv.cmd", *arguments),
            directory=self.folder,
            variables={**offline, **python, **more},
            timeout_s=500,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            *(text.decode("cp1252").replace("\r\n", "\n") for text in (done.stdout, done.stderr)),
        )


@pytest.fixture
def clone(windows: WindowsPython, tmp_path: Path) -> Clone:
    """A clone whose lock is without the developers' packages: unpacking them takes wine a minute."""
    folder = tmp_path / "a checkout (new) & more!"
    subprocess.run(("git", "clone", "-q", str(ROOT), str(folder)), check=True)
    needed = {canonicalize_name(one.name) for one in reached(asked_for(to_develop=False), system("win32"))}
    entries = [one for one in locked(system("win32")) if canonicalize_name(one.requirement.name) in needed]
    (folder / "requirements.lock").write_text(as_lines(entries), encoding="utf-8")
    return Clone(windows=windows, folder=folder)


def test_two_first_uses_at_once_install_once(clone: Clone) -> None:
    """Both list the tasks; afterwards nothing is installed again, and exit codes come through.

    A checkout that was moved is installed anew, which the program of .venv itself could not do.
    """
    with ThreadPoolExecutor() as pool:
        first = list(pool.map(lambda _: clone.inv("--list"), range(2)))

    assert [(done.returncode, done.stderr.count("Traceback")) for done in first] == [(0, 0), (0, 0)], first
    assert [done for done in first if "troubleshoot" not in done.stdout] == []
    assert sum(done.stderr.count(FIRST_USE) for done in first) == 1

    unknown = clone.inv("setpu")
    assert unknown.returncode == 4
    assert FIRST_USE not in unknown.stderr
    assert r".\inv.cmd setup" in unknown.stdout + unknown.stderr

    moved = replace(clone, folder=clone.folder.rename(clone.folder.with_name("moved")))
    again = moved.inv("--list", PIP_FIND_LINKS="")
    assert again.returncode == 4
    assert FIRST_USE in again.stderr


def test_without_the_packages_it_says_so_and_leaves_no_stamp(clone: Clone) -> None:
    done = clone.inv("--list", PIP_FIND_LINKS="")

    assert done.returncode == 4
    assert "The packages of requirements.lock could not be installed." in done.stderr
    assert r"Fix: see pip's lines above (network, index, disk), then .\inv.cmd again" in done.stderr
    assert not (clone.folder / ".venv" / "stamp").exists()


@pytest.mark.parametrize("advert", [False, True], ids=["none", "the advert for the Microsoft Store"])
def test_without_python_it_says_what_to_install(clone: Clone, tmp_path: Path, advert: bool) -> None:
    stub = tmp_path / "WindowsApps"
    stub.mkdir()
    if advert:
        says = "Python was not found; run without arguments to install from the Microsoft Store"
        (stub / "python.bat").write_bytes(f"@echo {says} 1>&2\r\n@exit /b 9009\r\n".encode())

    done = clone.inv("--list", WINEPATH=windows_path(stub), PYTHON=r"C:\no\python.exe")

    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "No Python 3.11 or newer was found."
    assert r'Nor is it what PYTHON says: "C:\no\python.exe"' in done.stderr
    assert "Fix: winget install Python.Python.3.13" in done.stderr
    assert "Microsoft Store" not in done.stdout + done.stderr
    assert not (clone.folder / ".venv").exists()


def test_without_the_venv_module_it_says_what_to_install(clone: Clone, tmp_path: Path) -> None:
    """The interpreter is the one that PYTHON names, in a path with a space."""
    named = tmp_path / "an interpreter" / "python.exe"
    named.parent.mkdir()
    shutil.copy(clone.windows.program / "python.exe", named)
    named.with_name("pyvenv.cfg").write_text(f"home = {windows_path(clone.windows.program)}\n")
    module = tmp_path / "without" / "venv"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(
        "import os, sys\nos.makedirs(sys.argv[-1])\nprint('No module named ensurepip')\nsys.exit(1)\n"
    )

    done = clone.inv(
        "--list", PYTHON=windows_path(named), PYTHONPATH=windows_path(module.parent), WINEPATH=windows_path(tmp_path)
    )

    assert done.returncode == 4
    assert "No module named ensurepip" in done.stderr
    assert f"{windows_path(named)} -m venv" in done.stderr
    assert "Fix: install Python from python.org, with pip" in done.stderr
    assert not (clone.folder / ".venv").exists()
