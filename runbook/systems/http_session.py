"""The one HTTP session of all clients: a deadline over the whole exchange, a limit for what it brings, no redirects.

Whoever uses this session, python-keycloak too, gets an answer whose body has been read within both limits. A redirect
is an answer like any other: credentials never travel to a host that was not named in the settings.
"""

import ssl
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from runbook.systems.addresses import is_this_host
from runbook.systems.timed_sockets import POOLS, deadline, left_s

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_CHUNK_BYTES: Final = 65_536


class TooLargeError(Exception):
    """An answer of this HTTP status holds more than is read of it; the numbers are of decompressed bytes."""

    def __init__(self, *, most_bytes: int, read_bytes: int, status: int) -> None:
        super().__init__(f"answers more than {most_bytes:,} bytes; {read_bytes:,} were read")
        self.status = status


class BoundedSession(requests.Session):
    """A session for one server. `timeout` of a request limits the exchange as a whole, in seconds.

    Raises what requests raises, TimeoutError, and TooLargeError. `context` is None where the server speaks no TLS.
    """

    def __init__(self, context: ssl.SSLContext | None, *, proxies: Mapping[str, str], max_bytes: int) -> None:
        """Take how TLS is spoken, the proxies by scheme, and how many bytes an answer may have."""
        super().__init__()
        self.trust_env = False  # no netrc: who we are is in the settings
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.proxies.update(proxies)
        self._max_bytes = max_bytes
        for scheme in ("http://", "https://"):
            self.mount(scheme, _TimedAdapter(context))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No answer leads elsewhere. To see whether one does, requests would read all of its body, without a limit."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - requests's
        """Return the answer with its whole body."""
        with deadline(kwargs["timeout"]):
            response = super().send(request, **{**kwargs, "stream": True, "allow_redirects": False})
            response.raw = BytesIO(_limited(response.raw, self._max_bytes))
            response.encoding = "utf-8"  # to guess it would take seconds where there is nothing to guess
        return response


def environment_proxies(url: str) -> dict[str, str]:
    """Return the proxies that the environment names for an address, by scheme: none for this host, or by NO_PROXY."""
    try:
        host = urlsplit(url).hostname
    except ValueError:  # of an address that cannot be asked anyway
        return {}
    return {} if not host or is_this_host(host) else get_environ_proxies(url)


class _TimedAdapter(HTTPAdapter):
    """Makes connections that know the deadline; TLS is spoken by one context, whatever a request says of it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is requests's
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - see above
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ANN401 - see above
        # No cookie is kept, and requests would read a flood of them for longer than any deadline.
        del resp._original_response.msg["Set-Cookie"]  # noqa: SLF001 - where requests looks for them
        return super().build_response(req, resp)

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ANN401 - see above
        cert: Any = None,  # noqa: ANN401 - see above
    ) -> Any:  # noqa: ANN401 - see above
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401 - see above
        """Leave the context as it is: it knows the CA already."""


def _limited(raw: "BaseHTTPResponse", most_bytes: int) -> bytes:
    """Read what has arrived, again and again, so that neither a huge nor an endless answer can hold us.

    urllib3 decompresses no more than a chunk at a time, whatever it was compressed with and how often.
    """
    body, connection = BytesIO(), raw.connection
    try:
        while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
            body.write(chunk)
            _refuse_more(body.tell(), most_bytes, raw.status)
            left_s()
    except BaseException:
        raw.close()
        if connection:  # urllib3 may have put it back already, to be closed when the last trace of this is gone
            connection.close()
        raise
    return body.getvalue()


def _refuse_more(read_bytes: int, most_bytes: int, status: int) -> None:
    if read_bytes > most_bytes:
        raise TooLargeError(most_bytes=most_bytes, read_bytes=read_bytes, status=status)
