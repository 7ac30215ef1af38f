"""A program that runs tests on copies of the package: JSON on standard input, lists of a folder and its test files.

Each copy is tested in a fork of this process, which has imported all but the package. It prints, as JSON, the exit code
and the output of each.
"""

import json
import os
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile

import _hypothesis_pytestplugin  # type: ignore[import-untyped]  # of hypothesis
import hypothesis.strategies
import pytest
import urllib3.util.connection
import yaml

BEFORE = (_hypothesis_pytestplugin, hypothesis.strategies, urllib3.util.connection, yaml)
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")


def outcome(folder: str, tests: Sequence[str]) -> tuple[int, str]:
    """What some tests say of the copy in a folder."""
    with TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                for stream in (sys.stdout, sys.stderr):
                    os.dup2(output.fileno(), stream.fileno())
                os.chdir(folder)
                sys.path.insert(0, folder)
                code = int(pytest.main([*OPTIONS, *tests]))
                sys.stdout.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read().decode()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    found = [outcome(folder, tests) for folder, *tests in json.load(sys.stdin)]
    assert "runbook" not in sys.modules
    json.dump(found, sys.stdout)
