"""HTTP for every client: exact errors, one deadline, one limit of size; nothing is followed, nothing repeated unasked.

Proxies of the environment are used for other hosts, never for this one. Its netrc is not read: who we are is in the
settings.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError, UsageError
from runbook.systems.failures import causes, failure_reason, http_text, proxy_text, system_text, tls_text
from runbook.systems.http_answer import EXCERPT_CHARACTERS, Answer, shortened, shown_url
from runbook.systems.http_meaning import Meaning
from runbook.systems.redaction import login_texts, redacted, secret_forms
from runbook.systems.tls import Tls

if TYPE_CHECKING:
    import requests

    from runbook.systems.http_session import BoundedSession

_ANSWER_S: Final = 10.0
_SAFE_ATTEMPTS: Final = 3
_MOST_BYTES: Final = 20_000_000
_BAD_REQUEST: Final = 400

# What servers of TLS answer, by HTTP, to who speaks to them in the clear: Go, nginx, Apache, Tomcat.
_WANTS_TLS: Final = (
    "Client sent an HTTP request to an HTTPS server",
    "The plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
    "This combination of host and port requires TLS",
)
_UNREACHABLE: Final = {
    "timeout": "did not answer within {limit} s",
    "dns": "cannot be found: its name {host} does not resolve",
    "refused": "cannot be reached: {system}",
    "broken": "closed the connection in the middle of an answer",
}
_SPOKEN: Final = {
    "tls_expired": (
        "shows a certificate that has expired, by this host's clock ({now})",
        "renew the certificate of {host}; if the clock of this host is wrong, set it",
    ),
    "tls_not_yet_valid": (
        "shows a certificate that is not valid yet, by this host's clock ({now})",
        "set the clock of this host, or renew the certificate of {host}",
    ),
    "tls_unknown_ca": (
        "shows a certificate of a CA that is not trusted here: {tls}",
        "set {ca_file} to the PEM file of that CA",
    ),
    "tls_other_name": (
        "shows a certificate for another name: {tls}",
        "set {address} to a name that is in the certificate, or have {host} added to it",
    ),
    "tls_client_certificate": (
        "does not let us in without a client certificate that it accepts: {tls}",
        "set {client_cert} and {client_key} to the PEM files of one that its CA signed",
    ),
    "tls_version": (
        "speaks no version of TLS that is safe (1.2 or newer): {tls}",
        "allow TLS 1.2 on {host}",
    ),
    "tls_on_plain_port": (
        "does not speak TLS on this port: {tls}",
        "set {address} to the address with http://, or to the port that speaks TLS",
    ),
    "plain_on_tls_port": (
        "speaks TLS on this port, and was asked without",
        "set {address} to the address with https://",
    ),
    "tls": (
        "could not be spoken to by TLS: {tls}",
        "openssl s_client -connect {host}:{port} shows more; {client_cert} names a client certificate",
    ),
    "proxy": (
        "cannot be reached through the proxy of the environment: {proxy}",
        "correct the variables http_proxy and https_proxy, or add {host} to no_proxy",
    ),
    "not_http": ("answers something that is no HTTP: {http}", "{fix}"),
}


class HttpClient:
    """HTTP to one system. `system` names it in errors, `fix` is what to do when it cannot be reached.

    `timeout_s` limits each exchange as a whole, from looking up the name to the last byte. Constructing opens no
    connection, and raises UsageError for certificates that cannot be read.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        auth: tuple[str, str] | None = None,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        tls: Tls | None = None,
        address: str = "",
        places: Mapping[str, str] | None = None,
        meanings: Sequence[Meaning] = (),
        timeout_s: float = _ANSWER_S,
        max_bytes: int = _MOST_BYTES,
        fix: str,
    ) -> None:
        """Keep the address and who we are there; `auth` is user and password for Basic, unless there is a bearer token.

        `secrets` are further texts that are never quoted, `address` the variable that holds the address. `meanings` is
        what this system's answers mean, before what any system's do; `places` is what their fixes are filled in with.
        """
        self._system = system
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._fix = fix
        self._tls = tls or Tls()
        self._address = address
        self._places = {"address": address, **(places or {})} if address else dict(places or {})
        self._meanings = meanings
        self._headers = dict(headers or {})
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._secrets = _secrets(self._base_url, auth, self._headers, secrets)
        self.session = self._session(None if token else auth)

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
        self.session.close()

    def answer(self, response: "requests.Response", sent_at: datetime) -> Answer:
        """Return what the session was answered to a request that was sent then."""
        return Answer(
            system=self._system,
            method=str(response.request.method),
            url=shown_url(str(response.request.url)),
            status=response.status_code,
            headers=response.headers,
            body=response.content,
            sent_at=sent_at,
            answered_at=datetime.now(UTC),
            fix=self._fix,
            secrets=self._secrets,
            meanings=self._meanings,
            places=self._places,
        )

    def failure(self, error: BaseException, where: str, limit_s: float | None = None) -> RunbookError:
        """Return, for the caller to raise, what an exception of the session means to an operator."""
        from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL, MissingSchema

        from runbook.systems.http_session import TooLargeError

        if isinstance(error, TooLargeError):
            seen = f"{self._system} {error}"
            return AnswerError(seen, where=where, fix=self._fix, status=error.status, code="too_large")
        reason = failure_reason(error)
        if reason != "proxy" and isinstance(error, InvalidSchema | InvalidURL | MissingSchema):
            return UsageError(f"The address of {self._system} is not an http URL", where=where, fix=self._fix)
        if reason == "broken" and isinstance(error, InvalidHeader | UnicodeError):
            seen = f"A setting of {self._system} holds a character that HTTP cannot send"
            return UsageError(seen, where=where, fix=self._fix)
        words = self._words(error, self._timeout_s if limit_s is None else limit_s)
        if reason in _UNREACHABLE:
            seen = f"{self._system} {_UNREACHABLE[reason].format_map(words)}"
            return UnreachableError(seen, where=where, fix=self._fix + self._hint(error), reason=reason)
        seen, fix = (text.format_map(words) for text in _SPOKEN[reason])
        return ProtocolError(f"{self._system} {seen}", where=where, fix=fix, reason=reason)

    def _session(self, auth: tuple[str, str] | None) -> "BoundedSession":
        from requests.auth import HTTPBasicAuth

        from runbook.systems.http_session import BoundedSession, environment_proxies

        context = self._tls.context() if self._base_url.lower().startswith("https:") else None
        proxies = environment_proxies(self._base_url)
        session = BoundedSession(context, proxies=proxies, max_bytes=self._max_bytes)
        session.auth = HTTPBasicAuth(auth[0].encode(), auth[1].encode()) if auth else None
        session.headers.update(self._headers)
        return session

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
        from urllib3.exceptions import HTTPError

        from runbook.systems.http_session import TooLargeError

        url = self._base_url + path
        where = f"{method} {shown_url(url)}"
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        sent_at = datetime.now(UTC)
        try:
            response = self.session.request(method, url, params=params, json=json, timeout=limit_s)
        except (RequestException, HTTPError, HTTPException, OSError, UnicodeError, TooLargeError) as error:
            raise self.failure(error, where, limit_s) from None
        answer = self.answer(response, sent_at)
        if answer.status == _BAD_REQUEST and any(said in answer.excerpt for said in _WANTS_TLS):
            raise self._plain_on_tls_port(where)
        return answer

    def _plain_on_tls_port(self, where: str) -> ProtocolError:
        seen, fix = _SPOKEN["plain_on_tls_port"]
        return ProtocolError(
            f"{self._system} {seen}", where=where, fix=fix.format(address=self._address), reason="plain_on_tls_port"
        )

    def _hint(self, error: BaseException) -> str:
        """Say of a server that closes without a word what it may have expected: TLS servers do that."""
        is_wordless = any(isinstance(cause, ConnectionResetError) for cause in causes(error))
        if not (is_wordless and self._address and self._base_url.startswith("http:")):
            return ""
        return f"; if it speaks TLS there, {self._address} begins with https://"

    def _words(self, error: BaseException, limit_s: float) -> dict[str, str]:
        """Return what the texts of failures say of this one."""
        address = urlsplit(self._base_url)
        quoted = shortened(redacted(http_text(error), self._secrets), EXCERPT_CHARACTERS)
        return {
            "limit": f"{limit_s:g}",
            "host": str(address.hostname),
            "port": str(address.port or 443),
            "now": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "system": system_text(error),
            "tls": tls_text(error),
            "http": repr(quoted),
            "proxy": shortened(redacted(proxy_text(error), self._secrets), EXCERPT_CHARACTERS),
            "fix": self._fix,
            "address": self._address,
            **{setting: self._tls.place_of(setting) for setting in ("ca_file", "client_cert", "client_key")},
        }


class _Server(Protocol):
    """The settings of a system that is one server, which may ask who we are."""

    @property
    def url(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def tls(self) -> Tls: ...
    def login(self) -> tuple[str, str] | None: ...
    def bearer(self) -> str: ...
    def place_of(self, setting: str) -> str: ...
    def login_places(self) -> str: ...


def login_client(system: str, settings: _Server, timeout_s: float) -> HttpClient:
    """Return the client of a system that is one server at `url`, as its settings say who we are there."""
    address = settings.place_of("url")
    return HttpClient(
        system,
        settings.url,
        auth=settings.login(),
        token=settings.bearer(),
        tls=settings.tls,
        address=address,
        places={"login": settings.login_places()},
        timeout_s=timeout_s,
        fix=f"check that {system} ({settings.container}) runs, and that {address} is its address",
    )


def answer_s(timeout_s: float) -> float:
    """Return how long one answer is waited for, in seconds, by who waits `timeout_s` for a state."""
    return min(_ANSWER_S, max(1.0, timeout_s))


def _secrets(
    url: str, auth: tuple[str, str] | None, headers: Mapping[str, str], others: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what must never be quoted: passwords, Basic credentials, bearer tokens, and `others`."""
    logins = [auth] if auth else []
    _, _, behind = url.partition("//")
    username, _, password = behind.rpartition("@")[0].partition(":")
    if password:
        logins += [(username, password), (unquote(username), unquote(password))]
    tokens = [value.rpartition(" ")[2] for name, value in headers.items() if name.lower() == "authorization"]
    return secret_forms(*tokens, *others, *(text for login in logins for text in login_texts(*login)))
