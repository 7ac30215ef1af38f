"""Commands of a fix can be typed on the system that prints them."""

import shlex
import sys
from pathlib import Path

import pytest

from runbook import shell


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which only what a test puts there is found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.posix("programs without an ending")
@pytest.mark.parametrize(
    ("system", "programs", "expected"),
    [
        ("linux", ["apt-get"], "apt-get install prometheus"),
        ("linux", ["brew"], "brew install prom"),
        ("linux", [], "install prometheus (as Debian calls it) with the package manager of this system"),
        ("darwin", [], "brew install prom"),
        ("win32", ["brew"], "download it"),
    ],
    ids=["Debian", "Homebrew on Linux", "another Linux", "macOS", "Windows"],
)
def test_how_to_install(
    system: str, programs: list[str], expected: str, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package manager is named only where it is, or where everybody has it."""
    for name in programs:
        (bare / name).touch(0o755)
    monkeypatch.setattr(sys, "platform", system)
    assert shell.install(apt="prometheus", brew="prom", windows="download it") == expected


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ("linux", ("ps -fp 7", "kill 7", "kill -CONT 7", "ss -ltnp", "tail -n 5")),
        ("darwin", ("ps -fp 7", "kill 7", "kill -CONT 7", "lsof -nP -iTCP -sTCP:LISTEN", "tail -n 5")),
        (
            "win32",
            ('tasklist /v /fi "PID eq 7"', "taskkill /f /t /pid 7", "", "netstat -ano -p tcp", "Get-Content -Tail 5"),
        ),
    ],
)
def test_commands_of_a_system(system: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    log = shell.show_end(Path("my.log"), 5)
    processes = shell.show_process(7), shell.end_process(7), shell.resume_process(7)
    assert (*processes, shell.show_listeners(), log.removesuffix(" my.log")) == words


@pytest.mark.parametrize(
    ("word", "on_windows"),
    [
        ("setup", "setup"),
        ("C:\\me\\inv.cmd", "C:\\me\\inv.cmd"),
        ("a b", '"a b"'),
        ("a&b", '"a&b"'),
        ('{"it\'s": 1}', "'{\"it''s\": 1}'"),
        ("", '""'),
        ("Jürgen's", '"Jürgen\'s"'),
        ("%PATH%", '"%PATH%"'),
    ],
)
def test_a_word_stays_one_word(word: str, on_windows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A POSIX shell reads back what was quoted; PowerShell reads both kinds of quotes, cmd the double ones."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert shlex.split(shell.joined(["inv", word])) == ["inv", word]
    monkeypatch.setattr(sys, "platform", "win32")
    assert shell.quoted(word) == on_windows
