"""What the tests under wine share: the interpreter, and wine kept awake from one program to the next."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from runbook.errors import RunbookError
from tests.windows.interpreter import WindowsPython, found_windows_python

_SERVICES_END_S = 30


@pytest.fixture(scope="session")
def windows() -> Iterator[WindowsPython]:
    """CPython for Windows; skipped, with what to install, where wine is not here.

    A program waits meanwhile, so that wine starts its services once; afterwards they end by themselves. Services keep
    the pipes of the program that started them, so a test that had been the first would wait for their end.
    """
    try:
        found = found_windows_python(print)
    except RunbookError as error:
        pytest.skip(f"no Windows here: {error.seen.splitlines()[-1]}; {error.fix}")
    surroundings = found.surroundings()
    with subprocess.Popen(
        ("wine", "cmd", "/c", "echo up& pause"), env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline().split() == [b"up"]
        yield found
    with suppress(subprocess.TimeoutExpired):  # another worker's programs may run on
        subprocess.run(("wineserver", "-w"), env=surroundings, timeout=_SERVICES_END_S, check=False)
