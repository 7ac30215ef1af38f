"""The unified diff of two versions of one file that differ in few places, in time that grows with their length.

difflib alone needs 20 s for a dashboard of 2,000 panels (4 MB) of which half move. Both versions are read side by
side: where they part, the nearest place at which several lines agree again ends the change, and difflib looks into it.
"""

import io
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

Change = tuple[int, int, int, int]  # lines [a1, a2) of the old version become [b1, b2) of the new

_CONTEXT = 3
_AGREE = 4  # so many lines alike in a row, and the change is over
_FAR = 400  # so many lines a change may have: ours have 120
_NO_NEWLINE = "\n\\ No newline at end of file\n"


def unified(old: Sequence[str], new: Sequence[str], name: str) -> str:
    """The diff as `patch` and `git apply` read it; empty if nothing differs."""
    hunks = [*_hunks([*changes(old, new)])]
    lines = [f"--- {name}\n", f"+++ {name}\n"] if hunks else []
    for hunk in hunks:
        lines += _written(old, new, hunk)
    return "".join(line if line.endswith("\n") else f"{line}{_NO_NEWLINE}" for line in lines)


def lines_of(raw: bytes) -> list[str]:
    """Lines that end at LF only: str.splitlines() would also split at characters inside JSON strings."""
    return [line.decode(errors="backslashreplace") for line in io.BytesIO(raw)]


def changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Where two versions differ, in order."""
    at, to = 0, 0
    while at < len(old) or to < len(new):
        if at < len(old) and to < len(new) and old[at] == new[to]:
            at, to = at + 1, to + 1
            continue
        lines = _step(old, new, at, to)
        yield from _within(old, new, (at, at + lines[0], to, to + lines[1]))
        at, to = at + lines[0], to + lines[1]


def _step(old: Sequence[str], new: Sequence[str], at: int, to: int) -> tuple[int, int]:
    """How many lines to pass over on either side until they agree again; all of them, if that is too far."""
    for far in range(1, _FAR):
        for lines in range(far + 1):
            if _agree(old, new, at + lines, to + far - lines):
                return lines, far - lines
    return len(old) - at, len(new) - to


def _agree(old: Sequence[str], new: Sequence[str], at: int, to: int) -> bool:
    """Whether several lines are alike, or all to the common end."""
    if at > len(old) or to > len(new):
        return False
    ours, theirs = old[at : at + _AGREE], new[to : to + _AGREE]
    return ours == theirs and (len(ours) == _AGREE or (at + len(ours), to + len(theirs)) == (len(old), len(new)))


def _within(old: Sequence[str], new: Sequence[str], change: Change) -> Iterator[Change]:
    """A change without the single lines in it that are alike."""
    a1, a2, b1, b2 = change
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old[a1:a2], new[b1:b2]).get_opcodes():
        if kind != "equal":
            yield a1 + i1, a1 + i2, b1 + j1, b1 + j2


def _hunks(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes whose contexts touch belong together."""
    hunk: list[Change] = []
    for change in changes:
        if hunk and change[0] - hunk[-1][1] > 2 * _CONTEXT:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk


def _written(old: Sequence[str], new: Sequence[str], hunk: Sequence[Change]) -> Iterator[str]:
    before = min(hunk[0][0], _CONTEXT)
    behind = min(len(old) - hunk[-1][1], _CONTEXT)
    start, end = hunk[0][0] - before, hunk[-1][1] + behind
    new_start, new_end = hunk[0][2] - before, hunk[-1][3] + behind
    yield f"@@ -{_range(start, end)} +{_range(new_start, new_end)} @@\n"
    at = start
    for a1, a2, b1, b2 in hunk:
        yield from (f" {line}" for line in old[at:a1])
        yield from (f"-{line}" for line in old[a1:a2])
        yield from (f"+{line}" for line in new[b1:b2])
        at = a2
    yield from (f" {line}" for line in old[at:end])


def _range(start: int, end: int) -> str:
    """Line numbers as `patch` counts them: from 1, and for an empty range the line before it."""
    length = end - start
    first = start + 1 if length else start
    return f"{first}" if length == 1 else f"{first},{length}"
