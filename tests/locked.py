"""requirements.lock as pip reads it on a given system: its markers are those of the system that pip runs on."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
# They are not installed elsewhere, so what they need is not known there; tests/windows reads it in their wheels.
WINDOWS_ALONE: Final = frozenset({"colorama", "pywin32", "tzdata"})
_ENTRY: Final = re.compile(r"^(?=[A-Za-z0-9])", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One package of the lock: what pip is asked for, without marker, and its lines of hashes."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """Return the pinned version."""
        (pin,) = self.requirement.specifier
        return pin.version


def system(platform: str, python: str = "3.11") -> dict[str, str]:
    """Return what markers are compared with on `win32`, `darwin` or `linux`."""
    os_name, platform_system, machine = {
        "win32": ("nt", "Windows", "AMD64"),
        "darwin": ("posix", "Darwin", "arm64"),
        "linux": ("posix", "Linux", "x86_64"),
    }[platform]
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": platform,
    }


def locked(environment: Mapping[str, str], text: str | None = None) -> list[Locked]:
    """Return what pip installs from the lock in this environment."""
    entries = _ENTRY.split(LOCK.read_text(encoding="utf-8") if text is None else text)[1:]
    found = []
    for entry in entries:
        head, *lines = (line.strip().removesuffix(" \\") for line in entry.splitlines())
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate({**environment}):
            requirement.marker = None
            hashes = tuple(line.removeprefix("--hash=") for line in lines if line.startswith("--hash="))
            found.append(Locked(requirement=requirement, hashes=hashes))
    return found


def as_lines(entries: list[Locked]) -> str:
    """Return the lines of a requirements file."""
    return "".join(
        " \\\n    ".join((str(one.requirement), *(f"--hash={value}" for value in one.hashes))) + "\n" for one in entries
    )


def asked_for(*, to_develop: bool = True) -> list[Requirement]:
    """Return what pyproject.toml asks for: to run and to build, and to develop."""
    with (LOCK.parent / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)
    project = wanted["project"]
    more = project["optional-dependencies"]["dev"] if to_develop else ["editables"]  # hatchling's, for --editable
    return [Requirement(line) for line in (*project["dependencies"], *wanted["build-system"]["requires"], *more)]


def needs(name: str) -> list[str]:
    """Return what a package says that it needs, read from what is installed here."""
    return [] if name in WINDOWS_ALONE else metadata.requires(name) or []


def reached(wanted: Iterable[Requirement], environment: Mapping[str, str]) -> Iterator[Requirement]:
    """Yield what is wanted and all that it needs, for its extras too."""
    open_requirements, seen = [*wanted], set[str]()
    while open_requirements:
        requirement = open_requirements.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        yield requirement
        extras = ("", *requirement.extras)
        for one in map(Requirement, needs(canonicalize_name(requirement.name))):
            marker = one.marker
            if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras):
                open_requirements.append(one)
