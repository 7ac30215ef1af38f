"""What a system answered by HTTP: read as JSON of a known shape, and quoted without our secrets."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from typing import Any, Final, Self, TypeVar

import msgspec

from runbook.errors import FOREIGN, AnswerError
from runbook.systems.redaction import redacted

T = TypeVar("T")

EXCERPT_CHARACTERS: Final = 200
BODY_CHARACTERS: Final = 500
_QUOTABLE_BYTES: Final = 8_192
_MOST_VALUES: Final = 500_000
"""More than the targets of a large Prometheus; each takes up to 200 bytes here, however few it takes on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a system answered, whatever the status. Times are ours, in UTC; `url` never holds credentials."""

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
            raise self.error(f"{self.system} answered {self.status}, but not with JSON: {self.excerpt}") from None
        except RecursionError:
            raise self.error(f"{self.system} answered what is nested too deeply to be read") from None
        except kinds as error:
            raise self.error(f"{self.system} answered what cannot be read: {self.quoted(str(error))}") from None

    def expected(self, *statuses: int) -> Self:
        """Return this answer if it has one of these statuses; AnswerError, quoting the body, if not."""
        if self.status in statuses:
            return self
        raise self.error(f"{self.system} answered {self.status}{self.moved}: {self.excerpt}")

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
    """The answer of a readiness endpoint; `saw` quotes it."""

    ready: bool
    status: int
    saw: str


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
