"""What every test shares: the option --unit; and with CI=true nothing may be skipped."""

import os
import signal

import pytest

pytest_plugins = ["unit_run"]


def pytest_configure() -> None:
    """Heed Ctrl-C also where the tests run in the background of a shell, which ignores it: some send it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped something: a skip there would be a check that nobody made."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if skipped and os.environ.get("CI") == "true":
        reporter.write_line(f"{skipped} tests were skipped, and CI=true allows none", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
