"""A program that runs `inv` and holds it at one moment, until its standard input ends: `python hold.py MOMENT COMMAND`.

The moment is the first output that holds the text; empty, it is the import of Invoke, the first thing that takes long.
HELD is printed then. Who sends a signal before the input ends knows that it comes at this moment, also where it is held
back for a while.
"""

import importlib.abc
import sys
from typing import TextIO

from runbook.__main__ import main

HELD = "held until the input ends\n"


class Held(importlib.abc.MetaPathFinder):
    """Stands before stdout and before the imports."""

    def __init__(self, moment: str, stream: TextIO) -> None:
        self._moment, self._stream, self._has_held = moment, stream, False

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def find_spec(self, name: str, *_: object) -> None:
        if name == "invoke" and not self._moment:
            self._hold()

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        if self._moment and self._moment in text:
            self._hold()
        return written

    def _hold(self) -> None:
        if not self._has_held:
            self._has_held = True
            self._stream.write(HELD)
            self._stream.flush()
            sys.stdin.read()


if __name__ == "__main__":
    held = Held(sys.argv.pop(1), sys.stdout)
    sys.meta_path.insert(0, held)
    sys.stdout = held  # it has all that stdout has
    main()
