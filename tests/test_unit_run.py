"""--unit: which tests are no unit tests, and that none that runs can open, start or wait for anything."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parent
IMPORTS = """
import os, socket, socketserver, subprocess, threading, time
import pytest
from runbook.local_stack.tools import found_tools
"""
LEFT_OUT = {
    "a module": "def test_it(): socket.socket()",
    "a call": "def test_it(): os.fork()",
    "a helper": "def helper(): subprocess.run(['true'])\ndef test_it(): helper()",
    "a fixture of a fixture": """
@pytest.fixture
def one(): time.sleep(0)
@pytest.fixture
def other(one): pass
def test_it(other): pass
""",
    "a fixture by its name": """
@pytest.fixture
def one(): time.sleep(0)
@pytest.fixture
def other(request): request.getfixturevalue(request.param)
@pytest.mark.parametrize("other", ["one"], indirect=True)
def test_it(other): pass
""",
    "a class of the tests": """
class Server:
    def serve(self): socket.create_server(("127.0.0.1", 0))
def test_it(): Server()
""",
    "a class built on one": "class Server(socketserver.TCPServer): pass\ndef test_it(): Server",
    "a function of the project": "def test_it(): found_tools(print)",
    "a mark": "@pytest.mark.outside\ndef test_it(): pass",
}
# Hidden from the reading of the code, as a method of the code under test is.
REFUSED = {
    "opens a socket": "vars(__import__('socket'))['socket']()",
    "starts a process": "vars(__import__('subprocess'))['run'](['true'])",
    "forks": "vars(__import__('os'))['for' + 'k']() or vars(__import__('os'))['_exit'](0)",
    "sleeps": "vars(__import__('time'))['sle' + 'ep'](0)",
}
WAYS = {
    "as it is": "def test_it(): {}",
    "caught by the code under test": """
def test_it():
    try:
        {}
    except Exception:
        pass
""",
    "in another thread": """
@pytest.mark.filterwarnings("ignore")
def test_it():
    thread = threading.Thread(target=lambda: {})
    thread.start()
    thread.join()
""",
    "in a fixture": "@pytest.fixture\ndef made(): {}\ndef test_it(made): pass",
    "at the end of a fixture": "@pytest.fixture\ndef made():\n    yield\n    {}\ndef test_it(made): pass",
}


def run(folder: Path, codes: Sequence[str], *options: str) -> str:
    """Run files of tests in a folder of their own with the plugin, and return what pytest prints."""
    for number, code in enumerate(codes):
        (folder / f"test_{number}.py").write_text(IMPORTS + code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.unit_run", "-p", "no:cacheprovider", "-rfEp", *options, folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_what_reaches_outside_is_left_out_and_counted(tmp_path: Path) -> None:
    """A module or a call that opens, starts or waits, in the test, its fixtures, or what they reach; or a mark."""
    printed = run(tmp_path, [*LEFT_OUT.values(), "def test_plain(): pass"], "--unit")

    assert f"1 passed, {len(LEFT_OUT)} deselected" in printed
    assert f"left out, as they need more: {len(LEFT_OUT)} tests ({tmp_path.name} {len(LEFT_OUT)})" in printed


def test_what_xdist_leaves_out_is_counted_once(tmp_path: Path) -> None:
    printed = run(tmp_path, ["def test_it(): os.fork()", "def test_plain(): pass"], "--unit", "-n", "2")

    assert "1 passed" in printed
    assert "left out, as they need more: 1 tests" in printed


def test_a_unit_test_that_reaches_outside_fails_with_the_reason(tmp_path: Path) -> None:
    """Each of four things, in each of five ways: none goes by unseen."""
    expected = [(what, way.format(call)) for what, call in REFUSED.items() for way in WAYS.values()]

    printed = run(tmp_path, [code for _, code in expected], "--unit")

    for number, (what, _) in enumerate(expected):
        assert f"test_{number}.py::test_it {what}; mark it `outside`" in printed
    assert "12 failed, 4 passed, 8 errors" in printed, "only a test whose fixture ends outside has passed by itself"


def test_without_the_option_nothing_is_guarded(tmp_path: Path) -> None:
    codes = [way.format(call) for call in REFUSED.values() for way in WAYS.values()]

    assert f"{len(codes)} passed" in run(tmp_path, codes)
