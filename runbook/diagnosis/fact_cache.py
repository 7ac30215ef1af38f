"""A fact is read once, by whoever asks first; whoever else asks meanwhile waits for that reading."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from runbook.waiting import watch

T = TypeVar("T")

_EVERY_S = 0.5


class Once:
    """What was read so far. Checks ask from several threads."""

    def __init__(self, *, patience_s: float) -> None:
        """Keep nothing yet; `patience_s` is the time for all facts together that have to be waited for."""
        self._patient_until = time.monotonic() + patience_s
        self._lock = threading.Lock()
        self._read: dict[str, Future[Any]] = {}

    def once(self, name: str, read: Callable[[], T]) -> T:
        """Return what `read` returned or raised the first time that `name` was asked for."""
        with self._lock:
            is_first = name not in self._read
            future: Future[T] = self._read.setdefault(name, Future())
        if is_first:
            try:
                future.set_result(read())
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()

    def until(self, look: Callable[[], tuple[T, bool]]) -> T:
        """Look again until it is complete or the patience is used up; return what was seen last."""
        return watch(look, deadline_s=self._patient_until - time.monotonic(), every_s=_EVERY_S)[0]
