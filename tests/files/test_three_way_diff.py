"""Three versions of a file: each region is told once, with who changed it and what a rollback would do there."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runbook.files.three_way_diff import three_way_diff

BY_BOTH = "changed by that run and by somebody after it; --force would lose what is there now"
LINES = st.lists(st.sampled_from("abcdef"), max_size=12)


def compared(before: str, left: str, now: str) -> str:
    """Compare versions that are given a character per line."""
    versions = ["".join(f"{line}\n" for line in lines).encode() for lines in (before, left, now)]
    return three_way_diff(before=versions[0], left=versions[1], now=versions[2], path=Path("f.yml"), run_id="R")


def test_what_the_run_and_what_somebody_since_has_changed() -> None:
    assert compared("abcdefgh", "abXcdefgh", "abXcdefYgh") == (
        "--- f.yml (now)\n"
        "+++ f.yml (before run R)\n"
        "=== f.yml (as that run left it)\n"
        "@@ line 3 of what that run left @@ changed by that run: a rollback takes it back\n"
        "-X\n"
        "@@ line 8 of what that run left @@ changed by somebody after that run; --force would lose this\n"
        "-Y\n"
    )


def test_what_both_have_changed_shows_all_three() -> None:
    assert compared("ab1cd", "ab2cd", "ab3cd").splitlines()[3:] == [
        "@@ line 3 of what that run left @@ " + BY_BOTH,
        "-3",
        "=2",
        "+1",
    ]


def test_changes_that_meet_are_one_region() -> None:
    """An insertion right behind a changed line: neither can be judged without the other."""
    assert compared("abcd", "aXcd", "aXYcd").splitlines()[3:] == [
        "@@ line 2 of what that run left @@ " + BY_BOTH,
        "-X",
        "-Y",
        "=X",
        "+b",
    ]


@given(before=LINES, left=LINES, now=LINES)
def test_the_marked_lines_turn_what_is_there_into_what_was_before(
    before: list[str], left: list[str], now: list[str]
) -> None:
    """Whatever three versions: `-` and `+` together are a change from now to before, of lines that differ only."""
    lines = compared("".join(before), "".join(left), "".join(now)).splitlines()[3:]
    gone, come = (sorted(line[1:] for line in lines if line.startswith(mark)) for mark in "-+")
    kept = sorted(before)
    for line in come:
        kept.remove(line)
    assert sorted([*kept, *gone]) == sorted(now)
    assert bool(lines) == (before != now)


def test_what_somebody_has_taken_back_by_hand_is_not_told() -> None:
    assert compared("ab", "aXb", "ab").splitlines()[3:] == []


def test_line_ends_that_differ_are_shown() -> None:
    shown = three_way_diff(before=b"a\n", left=b"b\n", now=b"b\r\nc", path=Path("f"), run_id="R").splitlines()[4:]
    assert shown == ["-b\\r", "-c", "\\ No newline at end of file", "=b", "+a"]
