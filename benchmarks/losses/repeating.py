"""What is done again and again beside a case."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(per_s: float, act: Callable[[], object]) -> Iterator[None]:
    """Act so many times a second until the end of the block."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(1 / per_s):
            act()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
