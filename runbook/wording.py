"""Facts in words that are safe to show: text from outside, spans of time, moments, files."""

import hashlib
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import PurePath, PureWindowsPath

# Control, format (bidirectional overrides, byte order mark), surrogate, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_TWO_DECIMALS_BELOW_S = 10
_MINUTES_FROM_S = 120
_DIGEST_DIGITS = 12
_PLAIN_PATH = re.compile(r"[\w@%+=:,./-]+")
_JOINER = "\u200d"  # inside emoji; it moves nothing


def visible(text: str) -> str:
    r"""Return the text with what a terminal would obey written out (ESC becomes `\x1b`); line ends and tabs stay."""
    return "".join(_shown(char) for char in text)


def visible_line(text: str) -> str:
    r"""Return the text as one line: as `visible`, and a line end becomes `\n`."""
    return visible(text).replace("\n", "\\n")


def span(seconds: float) -> str:
    """Return a span of time with about three digits: `-3 ms`, `12 ms`, `1.24 s`, `31.5 s`, `4 min 05 s`."""
    size = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if size < 1:
        return f"{sign}{size * 1000:.0f} ms"
    if size < _TWO_DECIMALS_BELOW_S:
        return f"{sign}{size:.2f} s"
    if size < _MINUTES_FROM_S:
        return f"{sign}{size:.1f} s"
    minutes, rest = divmod(round(size), 60)
    return f"{sign}{minutes} min {rest:02d} s"


def moment(at: datetime) -> str:
    """Return a time in UTC, to the second: `2025-11-03 19:48:51 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def one_of(given: str, known: Iterable[str]) -> str:
    """Return the way out for a misspelt name: the nearest known ones first, then all of them."""
    names = {name.lower(): name for name in known}
    nearest = [names[near] for near in get_close_matches(given.lower(), names, n=3)]
    choice = f"choose one of {', '.join(names.values())}"
    return f"did you mean {' or '.join(nearest)}? {choice}" if nearest else choice


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def pasteable(path: PurePath) -> str:
    r"""Return a path as a shell takes it: quoted where it must be (`'a b.json'`, `$'a\nb'`), and no option."""
    text = str(path)
    if isinstance(path, PureWindowsPath):
        return f'"{text}"' if re.search(r"[\s&()^;,=%!']", text) else text
    if any(unicodedata.category(char) in _HIDDEN for char in text):
        return "$'" + "".join(_in_ansi_c(char) for char in text) + "'"
    if text.startswith("-"):
        text = f"./{text}"
    return text if _PLAIN_PATH.fullmatch(text) else shlex.quote(text)


def _in_ansi_c(char: str) -> str:
    """A character between $' and '."""
    if unicodedata.category(char) in _HIDDEN:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
    return f"\\{char}" if char in "\\'" else char


def fingerprint(content: bytes) -> str:
    """Return what tells a file's bytes from others: `8765 bytes, SHA-256 9d8930134cb6...`."""
    return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]}..."


def _shown(char: str) -> str:
    if char in "\n\t" or char == _JOINER or unicodedata.category(char) not in _HIDDEN:
        return char
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
