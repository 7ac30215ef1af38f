"""CPython for Windows under Debian's wine, as a program and as an environment with our wheels.

`python -m tests.windows.interpreter` makes what is not in the cache yet, and prints how to call it. The interpreter is
a jar of Maven Central, which lacks two libraries: `python3.dll`, to which wheels of the stable ABI are linked, forwards
to `python311.dll`; `bcryptprimitives.dll` is part of Windows 10, not of Wine 8. The wheels are those of
requirements.lock.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError
from runbook.local_stack.fetching import cache_root, fetched_once, run_fetcher
from runbook.local_stack.maven import found_java_program
from tests.locked import as_lines, locked, system

Says = Callable[[str], None]
PACKAGES: Final = "apt-get install --no-install-recommends wine wine64 gcc-mingw-w64-x86-64"
ROOT: Final = Path(__file__).resolve().parents[2]
_HERE: Final = Path(__file__).parent
_JAR_SHA256: Final = "3263a50b256447bb7b9e604d6587627e419891370fc33b94469e6a06ff4de834"
_IN_THE_JAR: Final = "org/bytedeco/cpython/windows-x86_64/"
_NOT_USED: Final = ("include/", "libs/", "share/", "lib/idlelib/", "lib/test/", "lib/tkinter/", "lib/site-packages/")
_COMPILER: Final = "x86_64-w64-mingw32-gcc"
_DUMP: Final = "x86_64-w64-mingw32-objdump"
_SYSTEM_LIBRARIES: Final = ("python311.dll", "python3.dll", "bcryptprimitives.dll")
_PLATFORM: Final = ("--platform", "win_amd64", "--python-version", "3.11", "--implementation", "cp")
_HASH_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsPython:
    """The interpreter in `program`, the same with our wheels in `environment`, the wheels, and wine's `prefix`."""

    program: Path
    environment: Path
    wheels: Path
    prefix: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Return the python.exe that imports our dependencies."""
        return self.environment / "Scripts" / "python.exe"

    def run(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path = ROOT,
        variables: Mapping[str, str] | None = None,
        timeout_s: float = 180,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a Windows program to its end; its streams are pipes, because CPython cannot open wine's other ones."""
        return subprocess.run(
            ("wine", *map(str, command)),
            cwd=directory,
            env=self.surroundings(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def surroundings(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a Windows program: what wine needs, and `variables`; nothing of this shell's."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            **wine_variables(self.prefix),
            **self.variables,
            **(variables or {}),
        }


def wine_variables(prefix: Path) -> dict[str, str]:
    """Return what makes wine use `prefix`, silently, in English, and without asking for Mono or Gecko."""
    return {
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=",
        "LC_ALL": "C.UTF-8",
    }


def windows_path(path: Path) -> str:
    r"""Return Z:\a\b for /a/b: wine shows the whole file system as drive Z."""
    return "Z:" + str(path).replace("/", "\\")


def found_windows_python(says: Says = print) -> WindowsPython:
    """Find the interpreter in the cache, or make it: 90 s and 1 GB. Raises RunbookError."""
    for name in ("wine", _COMPILER, _DUMP):
        if shutil.which(name) is None:
            raise RunbookError(f"{name} is not here", where="PATH", fix=PACKAGES)
    cache = cache_root() / "windows"
    program = _program(cache, says)
    wheels = _wheels(cache, says)
    return WindowsPython(
        program=program,
        environment=_environment(cache, program, wheels, says),
        wheels=wheels,
        prefix=_prefix(cache, program, says),
    )


def _program(cache: Path, says: Says) -> Path:
    """Return the folder with python.exe and its libraries."""
    jars = found_java_program("Windows-Python", _HERE / "pom.xml", says=says).folder
    source = _HERE / "bcryptprimitives.c"

    def fill(scratch: Path) -> Path:
        (jar,) = jars.glob("*.jar")
        if hashlib.sha256(jar.read_bytes()).hexdigest() != _JAR_SHA256:
            raise RunbookError("the interpreter's jar is another one", where=str(jar), fix="rm it; then again")
        with zipfile.ZipFile(jar) as archive:
            archive.extractall(
                scratch,
                [
                    name
                    for name in archive.namelist()
                    if name.startswith(_IN_THE_JAR) and not name.removeprefix(_IN_THE_JAR).startswith(_NOT_USED)
                ],
            )
        folder = scratch / _IN_THE_JAR
        _compile(folder, "bcryptprimitives.dll", str(source), "-ladvapi32")
        (folder / "python3.def").write_text(_forwarder(folder))
        _compile(folder, "python3.dll", "python3.def", "-nostdlib")
        for name in ("python.exe", "pythonw.exe"):  # what `python -m venv` copies
            launcher = folder / "lib" / "venv" / "scripts" / "nt" / name
            shutil.copy(folder / "bin" / name, launcher)
        return folder

    return fetched_once(cache / f"python-{_key(_JAR_SHA256.encode(), source.read_bytes())}", fill)


def _forwarder(folder: Path) -> str:
    """Return the definition of python3.dll: each name that python311.dll exports, forwarded to it."""
    dump = subprocess.run((_DUMP, "-p", "python311.dll"), cwd=folder, capture_output=True, text=True, check=True).stdout
    table = dump.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = re.findall(r"\] (?:\+base\[ *\d+\] +[0-9a-f]+ )?(\w+)$", table, flags=re.MULTILINE)
    return "".join(("LIBRARY python3\nEXPORTS\n", *(f"{name} = python311.{name}\n" for name in names)))


def _compile(folder: Path, library: str, *arguments: str) -> None:
    run_fetcher((_COMPILER, "-shared", "-O1", "-s", "-o", library, *arguments), folder, what=library, fix=PACKAGES)


def _wheels(cache: Path, says: Says) -> Path:
    """Return the folder of the wheels, each with the hash of the lock file."""
    lines = as_lines(locked(system("win32")))
    destination = cache / f"wheels-{_key(lines.encode())}"

    def fill(scratch: Path) -> Path:
        says(f"fetching the wheels for Windows into {destination.parent}, once ...")
        (scratch / "windows.lock").write_text(lines)
        options = ("--require-hashes", "--no-deps", "--only-binary=:all:", *_PLATFORM)
        _pip(scratch, "download", "--dest", "wheels", *options, "-r", "windows.lock")
        return scratch / "wheels"

    return fetched_once(destination, fill)


def _environment(cache: Path, program: Path, wheels: Path, says: Says) -> Path:
    """Return a virtual environment as Windows has it, with every wheel in it; no process of Windows is needed."""
    destination = cache / f"environment-{_key(program.name.encode(), wheels.name.encode())}"

    def fill(scratch: Path) -> Path:
        says(f"unpacking the wheels into {destination} ...")
        folder = scratch / "environment"
        packages = folder / "Lib" / "site-packages"
        options = ("--no-index", "--no-deps", "--no-compile", "--only-binary=:all:", *_PLATFORM)
        _pip(scratch, "install", "--target", str(packages), *options, *map(str, sorted(wheels.glob("*.whl"))))
        _describe_us(packages)
        (folder / "Scripts").mkdir()
        shutil.copy(program / "python.exe", folder / "Scripts")
        (folder / "pyvenv.cfg").write_text(f"home = {windows_path(program)}\n", newline="\r\n")
        return folder

    return fetched_once(destination, fill)


def _describe_us(packages: Path) -> None:
    """Write what `pip install --editable` notes of this project; the code itself comes from the current folder."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    name, version = project["name"], project["version"]
    folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def _pip(folder: Path, *arguments: str) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    run_fetcher((*pip, *arguments), folder, what="a wheel for Windows", fix="see pip's lines above; then again")


def _prefix(cache: Path, program: Path, says: Says) -> Path:
    """Return wine's own folder, in whose system32 the libraries lie that a python.exe elsewhere loads too."""
    destination = cache / f"prefix-{program.name.removeprefix('python-')}"

    def fill(scratch: Path) -> Path:
        says(f"making wine's folder {destination} ...")
        folder = scratch / "prefix"
        surroundings = {**os.environ, **wine_variables(folder)}
        for command in (("wineboot", "-i"), ("wineserver", "-w")):
            subprocess.run(
                command,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=180,
                check=True,
            )
        for library in _SYSTEM_LIBRARIES:
            shutil.copy(program / library, folder / "drive_c" / "windows" / "system32")
        return folder

    return fetched_once(destination, fill)


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:_HASH_DIGITS]


def main() -> None:
    """Make what is missing, and print how a shell calls it."""
    found = found_windows_python()
    settings = " ".join(f'{name}="{value}"' for name, value in wine_variables(found.prefix).items())
    print(f"{settings} wine {found.python} -m pytest ... </dev/null 2>&1 | cat")


if __name__ == "__main__":
    main()
