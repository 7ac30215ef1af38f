"""HTTP for every client: exact errors, a size cap and a deadline; nothing is followed, nothing repeated unasked.

Redirects are answers like any other, so credentials never travel to a host that was not named in the settings. Proxies
and netrc of the environment are not used: every address here is one that the operator configured.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from runbook.errors import AnswerError, UnreachableError, UsageError
from runbook.systems.failures import failure_reason, system_text
from runbook.systems.redaction import login_texts, redacted, secret_forms

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

EXCERPT_CHARACTERS: Final = 200
BODY_CHARACTERS: Final = 500
_CHUNK_BYTES: Final = 65_536
_SAFE_ATTEMPTS: Final = 3


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
        text = redacted(self.text, self.secrets)
        title = re.search(r"<title[^>]*>(.*?)</title>", text, flags=re.IGNORECASE | re.DOTALL)
        line = " ".join((f"HTML page: {unescape(title[1])}" if title else text).split())
        return shortened(line, EXCERPT_CHARACTERS) or "an empty body"

    def json(self) -> Any:  # noqa: ANN401 - JSON of any shape; `read` is the typed way
        """Return the body as JSON; AnswerError, quoting what came instead, when it is none."""
        return self.read(object)

    def read(self, kind: type[T]) -> T:
        """Return the body as JSON of a known shape; AnswerError when it is not JSON or has another shape."""
        return self.read_part(self.body, kind)

    def read_part(self, part: bytes | msgspec.Raw, kind: type[T]) -> T:
        """Read a part of the body as `read` does the whole."""
        try:
            return msgspec.json.decode(part, type=kind)
        except msgspec.ValidationError as error:
            raise self.error(f"{self.system} answered JSON of an unknown shape: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self.error(f"{self.system} answered {self.status}, but not with JSON: {self.excerpt}") from None

    def expected(self, *statuses: int) -> Self:
        """Return this answer if it has one of these statuses; AnswerError, quoting the body, if not."""
        if self.status in statuses:
            return self
        target = self.headers.get("Location")
        moved = f" (to {shown_url(target)})" if target else ""
        raise self.error(f"{self.system} answered {self.status}{moved}: {self.excerpt}")

    def error(self, seen: str, *, code: str = "", fix: str = "") -> AnswerError:
        """Return, for the caller to raise, the error that says where this answer came from."""
        return AnswerError(
            seen,
            where=self.where,
            fix=fix or self.fix,
            status=self.status,
            code=code,
            body=shortened(redacted(self.text, self.secrets), BODY_CHARACTERS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer of a readiness endpoint; `saw` quotes it."""

    ready: bool
    status: int
    saw: str


class HttpClient:
    """HTTP to one system. `system` names it in errors, `fix` is what to do when it cannot be reached.

    `timeout_s` limits connecting, the wait for an answer to begin, and the exchange as a whole: a body that drips in is
    given up at the next piece after that. Constructing opens no connection.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        timeout_s: float = 10.0,
        max_bytes: int = 20_000_000,
        fix: str,
    ) -> None:
        """Keep the address and who we are there; `auth` is user and password for Basic.

        `secrets` are further texts that are never quoted.
        """
        import requests
        from requests.auth import HTTPBasicAuth

        self._system = system
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._fix = fix
        self._secrets = _secrets(self._base_url, auth, headers or {}, secrets)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.auth = HTTPBasicAuth(auth[0].encode(), auth[1].encode()) if auth else None
        self._session.headers.update(headers or {})

    def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
        retry_safe: bool = False,
    ) -> Answer:
        """GET; with `retry_safe` asked again, twice at most, when the connection breaks in the middle."""
        attempts = _SAFE_ATTEMPTS if retry_safe else 1
        for _ in range(attempts - 1):
            try:
                return self._exchange("GET", path, timeout_s, params=params)
            except UnreachableError as error:
                if error.reason != "broken":
                    raise
        return self._exchange("GET", path, timeout_s, params=params)

    def post(
        self,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """POST a JSON document (None: an empty body), once."""
        return self._exchange("POST", path, timeout_s, params=params, json=json)

    def delete(self, path: str, *, timeout_s: float | None = None) -> Answer:
        """DELETE, once."""
        return self._exchange("DELETE", path, timeout_s)

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._session.close()

    def _exchange(
        self,
        method: str,
        path: str,
        timeout_s: float | None,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
    ) -> Answer:
        from requests import RequestException
        from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
        from urllib3.exceptions import HTTPError

        url = self._base_url + path
        where = f"{method} {shown_url(url)}"
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        sent_at = datetime.now(UTC)
        try:
            with self._session.request(
                method, url, params=params, json=json, timeout=limit_s, allow_redirects=False, stream=True
            ) as response:
                body = self._body(response, where, deadline)
        except (InvalidSchema, InvalidURL, MissingSchema):
            seen = f"The address of {self._system} is not an http URL"
            raise UsageError(seen, where=where, fix=self._fix) from None
        except (RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error, where, limit_s) from None
        return Answer(
            system=self._system,
            method=method,
            url=shown_url(url),
            status=response.status_code,
            headers=response.headers,
            body=body,
            sent_at=sent_at,
            answered_at=datetime.now(UTC),
            fix=self._fix,
            secrets=self._secrets,
        )

    def _body(self, response: "requests.Response", where: str, deadline: float) -> bytes:
        """Read what has arrived, again and again, so that neither a huge nor an endless answer can hold us."""
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._max_bytes:
                response.raw.close()
                raise AnswerError(
                    f"{self._system} answers more than {self._max_bytes:,} bytes; {len(body):,} were read",
                    where=where,
                    fix=self._fix,
                    status=response.status_code,
                    code="too_large",
                )
            if time.monotonic() > deadline:
                response.raw.close()
                raise TimeoutError
        return bytes(body)

    def _unreachable(self, error: BaseException, where: str, limit_s: float) -> UnreachableError:
        reason = failure_reason(error)
        said = {
            "timeout": f"did not answer within {limit_s:g} s",
            "dns": f"cannot be found: its name {urlsplit(self._base_url).hostname} does not resolve",
            "refused": f"cannot be reached: {system_text(error)}",
            "broken": "closed the connection in the middle of an answer",
        }[reason]
        return UnreachableError(f"{self._system} {said}", where=where, fix=self._fix, reason=reason)


def is_loopback(host: str) -> bool:
    """Say whether a host is this one by its name alone: localhost, 127.0.0.0/8, ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shortened(text: str, characters: int) -> str:
    """Cut a text to a length, and say so with an ellipsis."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def shown_url(url: str) -> str:
    """Return an address without user and password, however badly they are escaped, and without a query."""
    return re.sub(r"//.*@", "//", url).partition("?")[0]


def _secrets(
    url: str, auth: tuple[str, str] | None, headers: Mapping[str, str], others: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what must never be quoted: passwords, Basic credentials, bearer tokens, and `others`."""
    logins = [auth] if auth else []
    written = re.search(r"//([^:]*):(.*)@", url)
    if written:
        logins += [(written[1], written[2]), (unquote(written[1]), unquote(written[2]))]
    tokens = [value.rpartition(" ")[2] for name, value in headers.items() if name.lower() == "authorization"]
    return secret_forms(*tokens, *others, *(text for login in logins for text in login_texts(*login)))
