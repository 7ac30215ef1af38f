"""promtool and amtool, real programs: wanted everywhere, required where CI=true."""

import os
import shutil

import pytest


def _program(name: str) -> str:
    """Path of promtool or amtool: its variable, else PATH; CI fails without it, a laptop skips."""
    found = os.environ.get(name.upper()) or shutil.which(name)
    if found:
        return found
    missing = f"{name} not found: set {name.upper()} or install it"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
def promtool() -> str:
    """The checker that comes with Prometheus."""
    return _program("promtool")


@pytest.fixture
def amtool() -> str:
    """The checker that comes with Alertmanager."""
    return _program("amtool")
