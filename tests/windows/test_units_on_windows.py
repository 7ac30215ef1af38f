"""The tests of files, settings, locks, runs, screen and systems, run by CPython for Windows.

What is about something that Windows does not have is marked `posix` there, with what that is, and counted here.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.windows.interpreter import ROOT, WindowsPython, windows_path

pytestmark = [pytest.mark.windows, pytest.mark.timeout(900)]

TESTED = (
    "tests/files",
    "tests/runs",
    "tests/console",
    "tests/systems",
    "tests/test_settings.py",
    "tests/test_setting_sources.py",
    "tests/test_locks.py",
    "tests/test_private_paths.py",
    "tests/test_invocation.py",
    "tests/test_platforms.py",
    "tests/test_shell.py",
    "tests/test_interrupts.py",
)
SKIPPED = re.compile(
    "Windows has no "  # the mark `posix`
    "|promtool not found"  # that which is here is a program of Linux
)
MOST_ARE_RUN = 0.8


def test_the_same_tests_pass_there(
    windows: WindowsPython, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """None fails, none is missing, and each that is skipped says what of Linux it needs."""
    report = tmp_path / "report.xml"
    options = (
        "-q",
        "-n",
        "2",
        "-p",
        "no:cacheprovider",
        "-o",
        "junit_family=xunit1",
        f"--junitxml={windows_path(report)}",
    )
    done = windows.run(
        (windows.python, "-m", "pytest", *options, *TESTED),
        variables={"PYTHONDONTWRITEBYTECODE": "1"},
        timeout_s=850,
    )
    printed = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, printed

    cases = ET.parse(report).findall(".//testcase")  # noqa: S314 - written by pytest
    reasons = [one.get("message", "") for case in cases for one in case.findall("skipped")]
    left_out = ", ".join(f"{number} {reason}" for reason, number in Counter(map(short, reasons)).most_common())
    record_property("by CPython for Windows", f"{len(cases) - len(reasons)} tests passed; left out: {left_out}")
    assert [reason for reason in reasons if not SKIPPED.match(reason)] == []
    assert len(cases) - len(reasons) > MOST_ARE_RUN * len(cases)
    there = {(case.get("file", "").replace("\\", "/"), case.get("name", "").partition("[")[0]) for case in cases}
    here = held_here()
    assert sorted({(file, name.partition("[")[0]) for file, name in here} - there) == []
    assert len(cases) >= len(here)


def short(reason: str) -> str:
    return reason.removeprefix("Windows has ").partition(":")[0]


def held_here() -> list[tuple[str, str]]:
    """Return file and name of each test that the same files hold here; a signal of Windows alone adds some there."""
    collect = ("-q", "--collect-only", "-p", "no:cacheprovider")
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *collect, *TESTED), cwd=ROOT, capture_output=True, text=True, check=True
    )
    return re.findall(r"^(tests/\S+?\.py)::(.+)$", done.stdout, flags=re.MULTILINE)
