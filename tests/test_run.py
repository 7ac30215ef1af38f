"""`inv test`: what --only takes, and which exit codes leave it."""

import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import UsageError
from tests.lint import ROOT
from tests.run import _PARALLEL, Selection
from tests.selection import refuse_unknown

TINY = "tests/test_durations.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("only", "fix"),
    [
        ("tests/test_duration.py", "did you mean inv test --only tests/test_durations.py"),
        ("test_durations.py", "did you mean inv test --only tests/test_durations.py"),
        ("tests/journey", "did you mean inv test --only tests/journeys"),
        ("tests/zzzzzzzz", "name a file or folder of tests/, or file::test"),
        (f"{TINY}::test_no_durations", f"did you mean inv test --only {TINY}::test_"),
        (f"{TINY}::zzzzzzzz", "name a file or folder of tests/, or file::test"),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest_names(only: str, fix: str) -> None:
    with pytest.raises(UsageError, match=f"There is no test {only}") as caught:
        refuse_unknown([TINY, only])
    assert caught.value.where == str(ROOT / only.partition("::")[0])
    assert caught.value.fix.startswith(fix)


def test_files_folders_and_single_tests_are_taken() -> None:
    function = "test_files_folders_and_single_tests_are_taken"
    refuse_unknown([TINY, "tests/journeys", f"tests/{Path(__file__).name}::{function}"])


def test_a_run_without_an_engine_is_one_run_of_pytest() -> None:
    assert [*Selection(only=("a", "b")).runs()] == [
        ("-m", "not live and not real and not docker and not windows", *_PARALLEL, "a", "b")
    ]


def test_the_tests_on_an_engine_and_under_wine_go_alone_and_first() -> None:
    first, second = Selection(docker=True, real=True).runs()
    assert first == ("-m", "(docker) and not live and not windows", "tests")
    assert second[:3] == ("-m", "not live and not windows and not docker", "-n")
    assert "--cov" in second

    first, second = Selection(docker=True, windows=True).runs()
    assert first == ("-m", "(docker or windows) and not live and not real", "tests")
    assert second[:3] == ("-m", "not live and not real and not docker and not windows", "-n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--only", TINY, "--only", "tests/test_waiting.py::test_without_a_rate_nobody_waits"], 0, "passed"),
        (["--only", "tests/test_durations.pi"], 4, "There is no test tests/test_durations.pi"),
        (["--only", f"{TINY}::test_a_duration[no such case]"], 4, "There is no such test"),
        (["--only", "tests/live"], 1, "No test ran\ntests/live\nFix: inv test with --real, --docker or --windows"),
    ],
    ids=["passed", "no such file", "no such case", "all left out"],
)
def test_exit_codes_are_those_of_the_readme(arguments: list[str], code: int, said: str) -> None:
    """Pytest's own do not leave: its 5, no test ran, would say that another run holds the lock."""
    done = run(*arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
