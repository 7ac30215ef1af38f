"""What every test shares: the option --unit; and with CI=true nothing may be skipped.

A test of what Windows does not have carries the mark `posix` with what that is: a Windows interpreter skips it, and
these skips are counted and allowed.
"""

import os
import signal
import sys
from collections import Counter

import pytest
from hypothesis import settings

pytest_plugins = ["tests.unit_run"]

# The same examples in every run; HYPOTHESIS_PROFILE=thorough tries some thousands instead of some hundreds.
settings.register_profile("exact", derandomize=True, database=None, deadline=None, max_examples=100)
settings.register_profile("thorough", parent=settings.get_profile("exact"), max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "exact"))


def pytest_configure() -> None:
    """Heed Ctrl-C also where the tests run in the background of a shell, which ignores it: some send it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


_POSIX = "Windows has no "


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is about something that this system does not have."""
    for mark in item.iter_markers("posix"):
        if sys.platform == "win32":
            pytest.skip(f"{_POSIX}{mark.args[0]}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that may take longest, then with those of many tests: what is left last is short.

    The workers of xdist take file by file in this order.
    """
    time_outs = {item.path: 0 for item in items}
    for item in items:
        mark = item.get_closest_marker("timeout")
        time_outs[item.path] = max(time_outs[item.path], mark.args[0] if mark else 0)
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (-time_outs[item.path], -sizes[item.path], item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what a test has recorded of itself: what it counted."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped something: a skip there would be a check that nobody made."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    elsewhere = sum(_POSIX in str(report.longrepr) for report in reports)
    if reporter and elsewhere:
        reporter.write_line(f"{elsewhere} tests are of what Windows does not have")
    skipped = len(reports) - elsewhere
    if reporter and skipped and os.environ.get("CI") == "true":
        reporter.write_line(f"{skipped} tests were skipped, and CI=true allows none", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
