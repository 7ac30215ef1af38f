"""A pytest plugin: `--unit` runs the tests that need no process, no port and no waiting, and holds them to it.

Which these are is read from the code. A test is left out if it, its fixtures, or a function of this project that they
reach uses a module of OUTSIDE or OF_OURS, or calls something named `fork` or `sleep`. What that does not see, a method
of the code under test, is marked `outside`. What runs is guarded, so that this stays true: a test fails where it opens
a socket, starts a process, forks or sleeps. (The sockets of librdkafka and libpq, opened in C, are known by their
modules only.)
"""

import functools
import inspect
import sys
import sysconfig
import time
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, SupportsIndex

import pytest
import urllib3.util.connection  # noqa: F401  # looks for IPv6 with a socket when it is imported: before the guard

INSTALLED: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
UNDER_TEST: Final = ("runbook", "sink")
OUTSIDE: Final = frozenset(
    {"confluent_kafka", "http.server", "multiprocessing", "psycopg", "pty", "socket", "socketserver", "subprocess"}
)
OF_OURS: Final = frozenset({"runbook.local_stack.fakes.broker.cluster", "runbook.systems.processes.launcher"})
CALLS: Final = frozenset({"fork", "sleep"})
MARKS: Final = ("live", "docker", "real", "windows", "stack", "outside")
EVENTS: Final = {
    "socket.__new__": "opens a socket",
    "subprocess.Popen": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "os.exec": "becomes another program",
    "os.fork": "forks",
    "os.forkpty": "forks",
}
Test = Callable[..., object]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --unit."""
    parser.addoption("--unit", action="store_true", help="only tests that need no process, no port and no waiting")


def pytest_configure(config: pytest.Config) -> None:
    """Put the guard in place; it stays, as an audit hook does, and is awake while a test runs."""
    if config.getoption("--unit"):
        config.pluginmanager.register(UnitRun(), "unit run")


class UnitRun:
    """Chooses the tests, guards them, and says what was left out."""

    def __init__(self) -> None:
        """Stand before the system calls."""
        self._is_awake = False
        self._seen: list[str] = []
        self._left_out: Counter[str] = Counter()
        sys.addaudithook(self._audit)
        self._sleep = time.sleep
        time.sleep = self._no_sleep

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what needs more; in each process of xdist the same."""
        reasons = {item: why_outside(item) for item in items}
        left_out = [item for item in items if reasons[item]]
        items[:] = [item for item in items if not reasons[item]]
        config.hook.pytest_deselected(items=left_out)
        self._left_out = Counter(item.path.parent.name for item in left_out)
        if hasattr(config, "workeroutput"):
            config.workeroutput["left out"] = dict(self._left_out)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - of xdist, which has no types
        """Take what a process of xdist has left out."""
        self._left_out = Counter(getattr(node, "workeroutput", {}).get("left out", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how many tests are not in this run, and where they are."""
        folders = ", ".join(f"{folder} {number}" for folder, number in sorted(self._left_out.items()))
        terminalreporter.write_line(f"left out, as they need more: {self._left_out.total()} tests ({folders})")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Guard the fixtures."""
        yield from self._guarded(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Guard the test."""
        yield from self._guarded(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Guard the end of the fixtures."""
        yield from self._guarded(item)

    def _guarded(self, item: pytest.Item) -> Iterator[None]:
        """Fail a test also where the code under test caught what the guard raised, or another thread met it."""
        self._seen, self._is_awake = [], True
        try:
            return (yield)
        finally:
            self._is_awake = False
            if self._seen:
                pytest.fail(f"{item.nodeid} {self._seen[0]}; mark it `outside`, it is no unit test", pytrace=False)

    def _audit(self, event: str, _arguments: tuple[object, ...]) -> None:
        if self._is_awake and event in EVENTS:
            self._refuse(EVENTS[event])

    def _no_sleep(self, seconds: SupportsIndex | float, /) -> None:
        if self._is_awake:
            self._refuse("sleeps")
        self._sleep(seconds)

    def _refuse(self, what: str) -> None:
        self._seen.append(what)
        raise PermissionError(f"a unit test {what}")


def why_outside(item: pytest.Item) -> str:
    """Return what keeps a test out of the unit tests: its mark, or what its code reaches; empty if it is one."""
    marks = [mark for mark in MARKS if item.get_closest_marker(mark)]
    if marks or not isinstance(item, pytest.Function):
        return marks[0] if marks else "no function"
    return next(filter(None, map(reached_outside, _functions(item))), "")


def _functions(item: pytest.Function) -> Iterator[Test]:
    """Yield the test and its fixtures, those too that are asked for by a name or a parameter."""
    yield item.function
    manager, open_names, seen = item.session._fixturemanager, [*item.fixturenames], set()  # noqa: SLF001 - no other way
    texts = [*_texts(item.function.__code__), *getattr(getattr(item, "callspec", None), "params", {}).values()]
    while open_names:
        name = open_names.pop()
        definitions = manager.getfixturedefs(name, item) if name not in seen else None
        seen.add(name)
        for definition in (definitions or ())[-1:]:
            yield definition.func
            open_names += definition.argnames
            if "getfixturevalue" in definition.func.__code__.co_names:
                open_names += [text for text in (*texts, *_texts(definition.func.__code__)) if isinstance(text, str)]


@functools.cache
def reached_outside(root: Test) -> str:
    """Return a module of OUTSIDE or OF_OURS, or a call of CALLS, that a function of this project reaches by others."""
    seen: dict[int, object] = {}
    open_things: list[object] = [root]
    while open_things:
        thing = _plain(open_things.pop())
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if found := _outside(thing):
            return found
        open_things += _reached(thing)
    return ""


def _plain(thing: object) -> object:
    """Return the function behind what stands for it."""
    if isinstance(thing, staticmethod | classmethod):
        return thing.__func__
    if isinstance(thing, property):
        return thing.fget
    if isinstance(thing, functools.cached_property | functools.partial):
        return thing.func
    return inspect.unwrap(thing) if isinstance(thing, types.FunctionType) else thing


def _outside(thing: object) -> str:
    code = getattr(thing, "__code__", None)
    calls = CALLS & set(_names(code)) if isinstance(code, types.CodeType) else ()
    modules = map(_module, thing.__mro__) if isinstance(thing, type) else (_module(thing),)
    parts = {".".join(name.split(".")[:n]) for name in modules for n in (1, 2)} | {_module(thing)}
    return next(iter([*calls, *(parts & OUTSIDE), *(parts & OF_OURS)]), "")


def _reached(thing: object) -> Iterator[object]:
    """Yield what a function names, and what a class of the tests holds; the classes under test have too much."""
    module = _module(thing)
    if isinstance(thing, type) and _is_ours(module) and module.partition(".")[0] not in UNDER_TEST:
        yield from vars(thing).values()
        yield from thing.__bases__
    if isinstance(thing, types.FunctionType) and _is_ours(module):
        yield from (thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__)
        for cell in thing.__closure__ or ():
            with suppress(ValueError):  # not filled yet
                yield cell.cell_contents


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _texts(code: types.CodeType) -> Iterator[str]:
    yield from (constant for constant in code.co_consts if isinstance(constant, str))


def _module(thing: object) -> str:
    name = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", "")
    return name if isinstance(name, str) else ""


@functools.cache
def _is_ours(module: str) -> bool:
    """Tell if a module is written in this project: not Python's library, and not a package."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and not any(Path(file).is_relative_to(folder) for folder in INSTALLED)
