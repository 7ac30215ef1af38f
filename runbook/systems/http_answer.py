"""What a system answered by HTTP: read as JSON of a known shape, and quoted without our secrets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from http import HTTPStatus
from typing import Any, Final, Self, TypeVar

import msgspec

from runbook.errors import FOREIGN, AnswerError
from runbook.systems.http_meaning import Meaning, meaning
from runbook.systems.redaction import redacted

T = TypeVar("T")

EXCERPT_CHARACTERS: Final = 200
BODY_CHARACTERS: Final = 500
_QUOTABLE_BYTES: Final = 8_192
_STARTING: Final = "Service Unavailable"  # of Prometheus while it replays its log
_PLACES: Final = {"address": "its address", "login": "who we are there"}
_MOST_VALUES: Final = 500_000
"""More than the targets of a large Prometheus; each takes up to 200 bytes here, however few it takes on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a system answered, whatever the status. Times are ours, in UTC; `url` never holds credentials.

    `meanings` is the system's own table of what answers mean, and `places` what its fixes are filled in with.
    """

    system: str
    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    sent_at: datetime
    answered_at: datetime
    fix: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    meanings: Sequence[Meaning] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def took_s(self) -> float:
        """The seconds from the request to the last byte of the answer."""
        return (self.answered_at - self.sent_at).total_seconds()

    @property
    def where(self) -> str:
        """The request, as errors and evidence name it."""
        return f"{self.method} {self.url}"

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not UTF-8 shows as a replacement character."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def is_json(self) -> bool:
        """Whether the server says that the body is JSON."""
        return "json" in self.headers.get("Content-Type", "").lower()

    @property
    def is_html(self) -> bool:
        """Whether a page for people came."""
        return "html" in self.headers.get("Content-Type", "").lower() or "<html" in self._beginning[:200].lower()

    @property
    def excerpt(self) -> str:
        """What came, in one short line for the operator: the title of a HTML page, else the beginning of the text."""
        text = self._beginning
        title = re.search(r"<title[^>]*>(.*?)</title>", text, flags=re.IGNORECASE | re.DOTALL)
        line = " ".join((f"HTML page: {unescape(title[1])}" if title else text).split())
        return shortened(line, EXCERPT_CHARACTERS) or "an empty body"

    @property
    def moved(self) -> str:
        """Where a redirect points to, ` (to http://elsewhere)`; nothing was sent there. Empty for other answers."""
        target = self.headers.get("Location")
        return f" (to {shortened(shown_url(target), EXCERPT_CHARACTERS)})" if target else ""

    def quoted(self, part: str) -> str:
        """Return a text that was read from the body as it may be shown: without our secrets, and not without end."""
        return shortened(redacted(part, self.secrets), BODY_CHARACTERS)

    def json(self) -> Any:  # noqa: ANN401 - JSON of any shape; `read` is the typed way
        """Return the body as JSON; AnswerError, quoting what came instead, when it is none."""
        return self.read(object)

    def read(self, kind: type[T]) -> T:
        """Return the body as JSON of a known shape; AnswerError when it is not JSON or has another shape."""
        return self.read_part(self.body, kind)

    def read_part(self, part: bytes | msgspec.Raw, kind: type[T]) -> T:
        """Read a part of the body as `read` does the whole."""
        if isinstance(part, bytes) and _values(part) > _MOST_VALUES:
            raise self.error(f"{self.system} answers more than {_MOST_VALUES:,} values", code="too_large")
        with self.reading():
            return msgspec.json.decode(part, type=kind)

    @contextmanager
    def reading(self, *others: type[Exception]) -> Iterator[None]:
        """Guard whatever is made of the body: what foreign input raises there, and `others`, becomes an AnswerError."""
        kinds: tuple[type[Exception], ...] = (*FOREIGN, OSError, *others)  # OSError: a time that the system cannot show
        try:
            yield
        except msgspec.ValidationError as error:
            raise self.error(f"{self.system} answered JSON of an unknown shape: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self.unexpected(f"{self.system} answered {self.status}, but not with JSON: {self.excerpt}") from None
        except RecursionError:
            raise self.error(f"{self.system} answered what is nested too deeply to be read") from None
        except kinds as error:
            raise self.error(f"{self.system} answered what cannot be read: {self.quoted(str(error))}") from None

    def expected(self, *statuses: int) -> Self:
        """Return this answer if it has one of these statuses; AnswerError, quoting the body, if not."""
        if self.status in statuses:
            return self
        raise self.unexpected()

    def unexpected(self, seen: str = "", *, where: str = "") -> AnswerError:
        """Return, for the caller to raise, what an answer means that is not the one that was asked for."""
        seen = seen or f"{self.system} answered {self.status}{self.moved}: {self.excerpt}"
        row = self.meaning()
        if row is None:
            return self.error(seen, where=where)
        return self.error(f"{seen} ({row.words})", where=where, code=row.code, fix=row.fix)

    def meaning(self) -> Meaning | None:
        """Return what this answer means where another one was asked for; None where nothing is known of it."""
        headers = (self.headers.get(name, "") for name in ("Content-Type", "WWW-Authenticate"))
        row = meaning(self.status, "\n".join((*headers, self._beginning)), self.meanings)
        return row and row.filled_in({"system": self.system, "checked": self.fix, **_PLACES, **self.places})

    def error(self, seen: str, *, where: str = "", code: str = "", fix: str = "") -> AnswerError:
        """Return, for the caller to raise, the error that says where this answer came from."""
        return AnswerError(
            seen,
            where=where or self.where,
            fix=fix or self.fix,
            status=self.status,
            code=code,
            body=shortened(self._beginning, BODY_CHARACTERS),
        )

    @property
    def _beginning(self) -> str:
        """The beginning of the text without our secrets; one that the cut may have halved is left out whole."""
        text = redacted(self.body[:_QUOTABLE_BYTES].decode("utf-8", errors="replace"), self.secrets)
        is_cut = len(self.body) > _QUOTABLE_BYTES
        return text[: len(text) - max(map(len, self.secrets), default=0)] if is_cut else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer of a readiness page; `saw` quotes it. `took_s` is how long it took, in seconds."""

    ready: bool
    status: int
    saw: str
    took_s: float = field(default=0.0, compare=False)


def readiness(answer: Answer) -> Readiness:
    """Return what a readiness page says in its own words; AnswerError for what a proxy or a wrong address answers."""
    is_starting = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.text.strip() == _STARTING
    if answer.is_html or not (is_starting or answer.status == HTTPStatus.OK):
        raise answer.unexpected()
    return Readiness(ready=not is_starting, status=answer.status, saw=answer.excerpt, took_s=answer.took_s)


def shortened(text: str, characters: int) -> str:
    """Cut a text to a length, and say so with an ellipsis."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def shown_url(url: str) -> str:
    """Return an address without user and password, however badly they are escaped, and without a query."""
    scheme, slashes, rest = url.partition("//")
    return (scheme + slashes + rest.rpartition("@")[2]).partition("?")[0]


def _values(body: bytes) -> int:
    """Return how many values a body holds at most, if it is JSON."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")
