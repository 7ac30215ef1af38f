"""requirements.lock: one file for Linux, macOS and Windows, complete on each, and as pyproject.toml asks."""

import re
from importlib import metadata

import pytest
from packaging.utils import canonicalize_name

from tests.locked import LOCK, WINDOWS_ALONE, Locked, as_lines, asked_for, locked, reached, system

SYSTEMS = [(platform, python) for platform in ("linux", "darwin", "win32") for python in ("3.11", "3.13")]


def problems(platform: str, python: str = "3.11", text: str | None = None) -> list[str]:
    """Return what `pip install --no-deps` of the lock would leave missing or unfit on a system."""
    environment = system(platform, python)
    pins = {canonicalize_name(one.requirement.name): one.version for one in locked(environment, text)}
    found = []
    for wanted in reached(asked_for(), environment):
        pin = pins.get(canonicalize_name(wanted.name))
        if pin is None:
            found.append(f"{wanted} is missing")
        elif not wanted.specifier.contains(pin, prereleases=True):
            found.append(f"{wanted}, but {pin} is locked")
    return found


def text_without(name: str) -> str:
    entries = re.split(r"^(?=[a-z])", LOCK.read_text("utf-8"), flags=re.MULTILINE)
    kept = [entry for entry in entries if not entry.startswith(f"{name}==")]
    assert len(kept) == len(entries) - 1
    return "".join(kept)


@pytest.mark.parametrize(("platform", "python"), SYSTEMS)
def test_the_lock_is_complete_and_fits_on(platform: str, python: str) -> None:
    """Pip is told `--no-deps`: what is missing would be missed only by an import, on a system that we do not have."""
    assert problems(platform, python) == []


@pytest.mark.parametrize("name", sorted(WINDOWS_ALONE))
def test_a_package_that_windows_alone_needs_is_missed_there_only(name: str) -> None:
    text = text_without(name)
    assert [name in line for line in problems("win32", text=text)]
    assert problems("linux", text=text) == []


def test_a_package_that_all_need_is_missed_and_an_old_one_does_not_fit() -> None:
    """The test above can fail."""
    assert [line for line in problems("darwin", text=text_without("urllib3")) if line.startswith("urllib3")]
    old = LOCK.read_text("utf-8").replace("\nrich==15", "\nrich==14")
    assert "rich<16,>=15, but 14.0.0 is locked" in problems("darwin", text=old)


def test_what_is_not_installed_here_is_for_windows_alone() -> None:
    """Each of the others says here what it needs."""
    here = {canonicalize_name(one.metadata["Name"]) for one in metadata.distributions()}
    everywhere = {canonicalize_name(one.requirement.name) for one in locked(system("win32"))}
    assert everywhere - here == WINDOWS_ALONE


def test_every_package_is_pinned_with_hashes_and_no_address() -> None:
    entries: list[Locked] = locked(system("win32"))
    assert len(entries) > len(asked_for())
    assert [
        one for one in entries if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in one.hashes)
    ] == []
    assert [
        one for one in entries if not one.hashes or {spec.operator for spec in one.requirement.specifier} != {"=="}
    ] == []
    assert not re.search(r"://|^ *-(?!-hash=)", LOCK.read_text("utf-8"), flags=re.MULTILINE)


def test_the_lines_for_one_system_are_a_lock_too() -> None:
    entries = locked(system("win32"))
    assert locked(system("linux"), as_lines(entries)) == entries
