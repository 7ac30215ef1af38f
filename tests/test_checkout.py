"""What the checkout says to Git, to editors and to pre-commit."""

import shlex
import subprocess

import pytest
import yaml

from tests.lint import CHECKS, ROOT

EXACT = ("monitoring/", "tests/cases/", "tests/console/golden/", "tests/conformance/frames/", "tests/runs/recorded/")


def git(*arguments: str, given: str = "") -> list[str]:
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(
        command, cwd=ROOT, input=given, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def attributes(paths: list[str], name: str) -> set[str]:
    """Return the values that an attribute has for some paths."""
    lines = git("check-attr", "--stdin", name, given="\n".join(paths))
    assert len(lines) == len(paths)
    return {line.rpartition(": ")[2] for line in lines}


@pytest.mark.parametrize("folder", EXACT)
def test_what_is_compared_byte_by_byte_is_left_as_it_is(folder: str) -> None:
    files = git("ls-files", folder)
    assert files
    assert attributes(files, "text") == {"unset"}
    assert (
        folder.removesuffix("/") in (ROOT / ".editorconfig").read_text("utf-8").partition("# Compared byte by byte")[2]
    )


@pytest.mark.parametrize(
    ("paths", "end"), [(["inv", "tasks.py", ".ci/run", "tests/docker/with-engine"], "lf"), (["inv.cmd"], "crlf")]
)
def test_programs_have_the_line_ends_that_their_reader_needs(paths: list[str], end: str) -> None:
    assert attributes(paths, "eol") == {end}


def test_no_line_of_the_checkout_ends_otherwise() -> None:
    """What is committed is what the attributes say: a checkout with core.autocrlf changes nothing."""
    wrong = [
        line
        for line in git("ls-files", "--eol")
        if "attr/-text" not in line and not line.startswith(("i/lf", "i/none"))
    ]
    assert wrong == []


def test_the_hooks_before_a_commit_are_lint_and_the_unit_tests() -> None:
    """No check is in one and not in the other, and no hook downloads anything."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (local,) = config["repos"]
    commands = [tuple(shlex.split(hook["entry"])) for hook in local["hooks"]]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    assert commands == [*((".venv/bin/python", *check) for check in CHECKS), ("./inv", "dev.unit")]
