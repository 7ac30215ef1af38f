"""JSON with exact positions: where in the text each member and item lies. No library in use here gives them."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from runbook.files.text import Text

_TOKEN = re.compile(r'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)')
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]')
_DEPTH = {"{": 1, "[": 1, "}": -1, "]": -1}
_DIGITS_OF_AN_INT = 18
_SKIP = json.JSONDecoder(parse_int=str, parse_float=str)  # of what it reads only the end counts; it is written in C
DEPTH_LIMIT = 128  # dashboards need about 20; beyond some hundreds Python's parser gives up


class Member(NamedTuple):
    """One `"key": value` of an object: the decoded key, where its text lies, and where its value does."""

    key: str
    key_start: int
    key_end: int
    start: int
    end: int


def meaning(text: Text) -> Any:  # noqa: ANN401 - any JSON value
    """Everything a JSON text says: objects as tuples of pairs, so that order and repeated keys count.

    Raises DocumentError for text that is not JSON, with the line; NaN and Infinity, which Python would accept
    and Grafana would not, are refused too.
    """
    _refuse_bomb(text)
    try:
        return exact(text.body)
    except json.JSONDecodeError as error:
        raise text.refusal(
            f"not JSON: {error.msg} (column {error.colno})",
            offset=error.pos,
            fix="repair the file at that line, or restore it from a backup",
        ) from None
    except ValueError as error:
        raise text.refusal(f"not JSON: {error}", fix="replace that value by a number or null") from None


def exact(body: str) -> Any:  # noqa: ANN401 - any JSON value
    """`meaning` of text of our own; raises ValueError."""
    return json.loads(
        body,
        object_pairs_hook=tuple,
        parse_float=Decimal,
        parse_int=_integer,
        parse_constant=_no_constant,
    )


def value_at(body: str, start: int, end: int) -> Any:  # noqa: ANN401 - any JSON value
    """Plain Python value of a located part of a text that `meaning` accepted."""
    return json.loads(body[start:end], parse_int=_integer)


def members(body: str, start: int) -> Iterator[Member]:
    """The members of the object whose brace is at `start`, in a text that `meaning` accepted."""
    for key_start, key_end in _elements(body, start):
        colon = _token(body, key_end)
        value_start = _token(body, colon.end()).start(1)
        yield Member(
            json.loads(body[key_start:key_end]), key_start, key_end, value_start, _value_end(body, value_start)
        )


def items(body: str, start: int) -> Iterator[tuple[int, int]]:
    """Start and end of each item of the array whose bracket is at `start`."""
    yield from _elements(body, start)


def member(body: str, start: int, key: str) -> Member | None:
    """The member of that name; the last one where a key is repeated, as Grafana and Python read it."""
    return next((found for found in reversed([*members(body, start)]) if found.key == key), None)


def root(body: str) -> int:
    """Where the outermost value begins."""
    return _token(body, 0).start(1)


def _refuse_bomb(text: Text) -> None:
    depth = 0
    for token in _BRACKET.finditer(text.body):
        depth += _DEPTH.get(token[0], 0)
        if depth > DEPTH_LIMIT:
            raise text.refusal(
                "the JSON is nested too deeply to be a dashboard",
                offset=token.start(),
                fix="restore the file from version control or a backup",
            )


def _elements(body: str, start: int) -> Iterator[tuple[int, int]]:
    """Span of each item, or of each key: what follows the opening bracket and every comma on its level."""
    at = start
    while body[at] not in "}]":
        first = _token(body, at + 1)
        if first[1] in "}]":
            return
        end = _value_end(body, first.start(1))
        yield first.start(1), end
        at = _next_on_level(body, end)


def _next_on_level(body: str, at: int) -> int:
    """Position of the comma or closing bracket after an element; a key's value is passed over."""
    token = _token(body, at)
    if token[1] == ":":
        token = _token(body, _value_end(body, _token(body, token.end()).start(1)))
    return token.start(1)


def _value_end(body: str, start: int) -> int:
    return _SKIP.raw_decode(body, start)[1]


def _token(body: str, at: int) -> re.Match[str]:
    return next(_TOKEN.finditer(body, at))


def _integer(literal: str) -> int | Decimal:
    """Int, or Decimal beyond 18 digits: int() refuses very long literals."""
    return int(literal) if len(literal) <= _DIGITS_OF_AN_INT else Decimal(literal)


def _no_constant(literal: str) -> NoReturn:
    message = f"{literal} is no JSON number"
    raise ValueError(message)
