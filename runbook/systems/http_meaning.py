"""What an answer means that is not the one that was asked for: tables that are read from top to bottom."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

_EVERY: Final = range(100, 1000)
HTML: Final = r"\A\S*html|<!doctype html|<html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One row: what an answer of these statuses means in which `says` is found (a regular expression, any case).

    It is looked for in the content type, the header WWW-Authenticate and the beginning of the body, a line each.

    `code` is what checks decide on. `words` follow what was seen; `fix` may name `{system}`, its settings `{address}`
    and `{login}`, and `{checked}`: what to look at when nothing else is known.
    """

    code: str
    statuses: Container[int] = _EVERY
    says: str = ""
    words: str
    fix: str

    def filled_in(self, places: Mapping[str, str]) -> Self:
        """Return the row with words and fix as they are told."""
        return replace(self, words=self.words.format_map(places), fix=self.fix.format_map(places))

    def fits(self, status: int, said: str) -> bool:
        """Whether an answer of this status that said this is meant."""
        return status in self.statuses and re.search(self.says, said, re.IGNORECASE | re.DOTALL) is not None


# A proxy's words are HTML or its own plain text; which of them it is does not matter for what is to be done.
MEANINGS: Final = (
    Meaning(
        code="redirect",
        statuses=range(300, 400),
        words="it leads elsewhere, and nothing was sent there",
        fix="set {address} to where it leads, if {system} is there; if that is a login page, set {login}",
    ),
    Meaning(
        code="unauthorized",
        statuses=(401, 407),
        words="it asks who we are, or refuses our login",
        fix="set {login}",
    ),
    Meaning(
        code="forbidden",
        statuses=(403,),
        words="it does not allow this to us",
        fix="give who logs in there the right to it, or set {login}",
    ),
    Meaning(
        code="no_path",
        statuses=(404, 405, 410),
        words="there is no such path at this address",
        fix="correct {address}: {system}'s own address, with its path prefix where it has one",
    ),
    Meaning(
        code="limited",
        statuses=(429,),
        words="it takes no more requests for now",
        fix="wait a minute, then again; or raise the limit of the proxy before {system}",
    ),
    Meaning(
        code="bad_gateway",
        statuses=(502, 504),
        words="a proxy says this, which got no answer from {system}",
        fix="{checked}; then the address that the proxy has of it",
    ),
    Meaning(
        code="unavailable",
        statuses=(503,),
        words="it is starting or overloaded, or a proxy before it knows no server",
        fix="wait a minute, then again; if it stays so, {checked}",
    ),
    Meaning(
        code="failed",
        statuses=range(500, 600),
        words="it failed",
        fix="read the log of {system}: it names the cause",
    ),
    Meaning(
        code="page",
        statuses=range(200, 300),
        says=HTML,
        words="a page for people, such as the login page of a proxy",
        fix="correct {address}, or set {login}",
    ),
)


def meaning(status: int, said: str, *tables: Sequence[Meaning]) -> Meaning | None:
    """Return the first row that fits, of these tables and then of those for every system; None: none does."""
    return next((row for table in (*tables, MEANINGS) for row in table if row.fits(status, said)), None)
