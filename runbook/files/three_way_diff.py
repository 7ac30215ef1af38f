"""Three versions of one file: before a run, as the run left it, and now; who changed what, region by region."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.files.diff import LineChange, changes, lines_of
from runbook.wording import pasteable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One version and how it came from the middle one, the file as the run left it."""

    lines: Sequence[str]
    changes: tuple[LineChange, ...]

    def at(self, start: int, end: int) -> Sequence[str]:
        """Its lines where the middle version has [start, end), which cuts no change in two."""
        grown = [(change, (change[3] - change[2]) - (change[1] - change[0])) for change in self.changes]
        above = sum(more for change, more in grown if change[0] < start)
        within = sum(more for change, more in grown if start <= change[0] <= change[1] <= end)
        return self.lines[start + above : end + above + within]


def three_way_diff(*, before: bytes, left: bytes, now: bytes, path: Path, run_id: str) -> str:
    """What putting back the bytes `before` run `run_id` would do to a file that somebody has changed since.

    `-` is in the file now, `+` stood there before the run, `=` is what the run had written where both changed it.
    """
    middle = lines_of(left)
    old, new = (_Side(lines=lines, changes=(*changes(middle, lines),)) for lines in map(lines_of, (before, now)))
    name = pasteable(path)
    shown = [f"--- {name} (now)", f"+++ {name} (before run {run_id})", f"=== {name} (as that run left it)"]
    for start, end in _regions([*old.changes, *new.changes]):
        by_run, since = old.at(start, end), new.at(start, end)
        if by_run == since:  # taken back by hand already
            continue
        both = by_run != middle[start:end] != since
        shown.append(
            f"@@ line {start + 1} of what that run left @@ {_title(both=both, since=since != middle[start:end])}"
        )
        shown += _marked("-", since)
        shown += _marked("=", middle[start:end] if both else ())
        shown += _marked("+", by_run)
    return "\n".join(shown) + "\n"


def _regions(found: list[LineChange]) -> Iterator[tuple[int, int]]:
    """Where the middle version is touched at all; what overlaps or meets is one region."""
    start = end = -1
    for first, last, *_ in sorted(found):
        if first > end >= 0:
            yield start, end
        start, end = (first, last) if first > end or end < 0 else (start, max(end, last))
    if end >= 0:
        yield start, end


def _title(*, both: bool, since: bool) -> str:
    if both:
        return "changed by that run and by somebody after it; --force would lose what is there now"
    if since:
        return "changed by somebody after that run; --force would lose this"
    return "changed by that run: a rollback takes it back"


def _marked(mark: str, lines: Sequence[str]) -> list[str]:
    r"""Each line behind its mark; what tells lines apart and does not show is written out: `\r`, no line end."""
    shown = []
    for line in lines:
        text = line.removesuffix("\n").replace("\r", "\\r")
        shown.append(f"{mark}{text}")
        if not line.endswith("\n"):
            shown.append("\\ No newline at end of file")
    return shown
