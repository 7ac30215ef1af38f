"""A fact is read once, by whoever asks first; whoever else asks meanwhile waits for that reading."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from runbook.waiting import watch

T = TypeVar("T")
S = TypeVar("S", bound="FactCache")
P = ParamSpec("P")
Key = tuple[Callable[..., object], tuple[object, ...]]

_EVERY_S = 0.5


class FactCache:
    """What was read so far. Checks ask from several threads."""

    def __init__(self, *, waiting_s: float) -> None:
        """Keep nothing yet; `waiting_s` is the time for all facts together that have to be waited for."""
        self._waits_until = time.monotonic() + waiting_s
        self._lock = threading.Lock()
        self._read: dict[Key, Future[Any]] = {}

    def once(self, key: Key, read: Callable[[], T]) -> T:
        """Return what `read` returned or raised the first time that this fact was asked for."""
        with self._lock:
            is_first = key not in self._read
            future: Future[T] = self._read.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()

    def until(self, look: Callable[[], tuple[T, bool]]) -> T:
        """Look again until it is complete or the time for waiting is used up; return what was seen last."""
        return watch(look, deadline_s=self._waits_until - time.monotonic(), every_s=_EVERY_S)[0]


class Fact(Generic[S, P, T]):
    """A method of a FactCache whose answer is kept, for each set of arguments; use it as the decorator `@Fact`."""

    def __init__(self, read: Callable[Concatenate[S, P], T]) -> None:
        """Take the method that reads."""
        self._read = read
        update_wrapper(self, read)

    @overload
    def __get__(self, facts: None, owner: type[S]) -> Self: ...
    @overload
    def __get__(self, facts: S, owner: type[S]) -> Callable[P, T]: ...
    def __get__(self, facts: S | None, owner: type[S]) -> Self | Callable[P, T]:
        """Return the fact itself from the class, the method from an instance."""
        return self if facts is None else partial(self.__call__, facts)

    def __call__(self, facts: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the fact, read or kept."""
        return facts.once(self.key(*args, **kwargs), lambda: self._read(facts, *args, **kwargs))

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """Return under what the answer is kept: the fact and what it was asked with."""
        return self, (*args, *kwargs.items())
