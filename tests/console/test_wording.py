"""Words that are safe to show, and spans of time at the precision that helps."""

import pytest

from runbook.wording import one_of, span, visible, visible_line


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.0123, "12 ms"),
        (-0.003, "-3 ms"),
        (1, "1.00 s"),
        (9.994, "9.99 s"),
        (31.52, "31.5 s"),
        (119.9, "119.9 s"),
        (120, "2 min 00 s"),
        (245, "4 min 05 s"),
        (-300, "-5 min 00 s"),
    ],
)
def test_span(seconds: float, expected: str) -> None:
    assert expected == span(seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain [bold]x[/] ü 🙂", "plain [bold]x[/] ü 🙂"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\r\x00\x7f\x9b", r"\r\x00\x7f\x9b"),
        ("\ufeff{", r"\ufeff{"),
        ("\u202e\u2066\u2028", r"\u202e\u2066\u2028"),
        ("\udc80", r"\udc80"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_visible(text: str, expected: str) -> None:
    """What a terminal would obey, or a reader could not see, is written out; emoji stay whole."""
    assert expected == visible(text)


def test_one_line() -> None:
    """A text that should be one line cannot begin a second one that looks like ours."""
    assert visible_line("boom\nFix: rm -rf /") == r"boom\nFix: rm -rf /"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("kc_user", "did you mean KC_USER"),
        ("KC_DWN", "did you mean KC_DOWN"),
        ("mainframe", "choose one of KC_DOWN, KC_USER, P_DOWN"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_first(given: str, expected: str) -> None:
    found = one_of(given, ("KC_DOWN", "KC_USER", "P_DOWN"))

    assert found.startswith(expected)
    assert found.endswith("choose one of KC_DOWN, KC_USER, P_DOWN")
