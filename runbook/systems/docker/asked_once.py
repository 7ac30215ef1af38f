"""A question to the engine that is asked once, whoever asks: side by side, too, and also when it fails."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class AskedOnce(Generic[T]):
    """What `ask` returned or raised the first time."""

    def __init__(self, ask: Callable[[], T]) -> None:
        """Take the question; it is not asked yet."""
        self._ask = ask
        self._lock = threading.Lock()
        self._answer: Future[T] | None = None

    def __call__(self) -> T:
        """Return the answer; who asks meanwhile waits for it."""
        with self._lock:
            is_first = self._answer is None
            answer = self._answer = self._answer or Future()
        if is_first:
            try:
                answer.set_result(self._ask())
            except BaseException as error:
                answer.set_exception(error)
                raise
        return answer.result()
