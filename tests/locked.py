"""requirements.lock as pip reads it on a given system: its markers are those of the system that pip runs on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
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
