"""`python -m runbook.local_stack.fakes.gateway`: the edge proxy and the gateway behind it, in one program.

The proxy routes by Host and knows one name; any other gets 404 in plain text. The gateway verifies the bearer token,
takes the tenant from its claim `tenant_id`, and forwards the request with the header `x-tenant-id`. It has no health
path, since a proxy routes by Host: it is ready when its port accepts a connection.
Deviation: keys that cannot be fetched are answered with 503.
"""

import argparse
import http.client
from urllib.parse import urlsplit

from runbook.local_stack.fakes.gateway.tokens import InvalidTokenError, KeysUnavailableError, Verifier
from runbook.local_stack.fakes.serving import (
    JSON,
    Request,
    Response,
    Server,
    json_response,
    log,
    text_response,
)
from runbook.platforms import hold_signals, wait_for_end

NAME = "gateway"
_FORWARDED = ("accept", "content-type", "user-agent")
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form></form></body></html>"
_INSTEAD = {
    "login-page": Response(status=200, body=_PAGE, content_type="text/html; charset=utf-8"),
    "redirect": Response(status=302, content_type="text/html", headers={"Location": "http://login.aetherlink.local/"}),
    "limit": text_response(429, "Too Many Requests"),
    "login": Response(
        status=401, body=b"401 Unauthorized\n", content_type="text/plain", headers={"WWW-Authenticate": "Basic"}
    ),
    "bad-gateway": text_response(502, "Bad Gateway"),
}


class RefusedError(Exception):
    """The gateway answers by itself, with this status and detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        headers = {"WWW-Authenticate": "Bearer"} if status == http.client.UNAUTHORIZED else {}
        self.response = json_response(status, {"detail": detail}, headers)


class Gateway:
    """One route: `host` to `upstream`, for holders of a token that `verifier` trusts."""

    def __init__(
        self, host: str, upstream: str, verifier: Verifier, timeout_s: float, instead: Response | None = None
    ) -> None:
        """`instead` is what the edge proxy answers to whatever it is asked, in place of the gateway."""
        self._instead = instead
        self._host = host.lower()
        self._upstream = urlsplit(upstream)
        self._verifier = verifier
        self._timeout_s = timeout_s

    def __call__(self, request: Request) -> Response:
        """Return the upstream's answer, or the refusal of the first hop that objects."""
        name, _, _ = request.headers.get("host", "").partition(":")
        if name.lower() != self._host:
            return text_response(404, "404 page not found\n")
        if self._instead is not None:
            return self._instead
        try:
            tenant = self._tenant_of(request)
        except RefusedError as refused:
            return refused.response
        return self._forwarded(request, tenant)

    def _tenant_of(self, request: Request) -> str:
        """Return the tenant that the token speaks for. Raises RefusedError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(401, "missing bearer token")
        try:
            tenant = self._verifier.claims(token.strip()).get("tenant_id")
        except InvalidTokenError as error:
            raise RefusedError(401, str(error)) from error
        except KeysUnavailableError as error:
            raise RefusedError(503, str(error)) from error
        if not tenant:
            raise RefusedError(400, "tenant required")
        if request.headers.get("x-tenant-id", tenant) != tenant:
            raise RefusedError(403, "tenant mismatch")
        return str(tenant)

    def _forwarded(self, request: Request, tenant: str) -> Response:
        upstream = http.client.HTTPConnection(
            self._upstream.hostname or "", self._upstream.port, timeout=self._timeout_s
        )
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        try:
            upstream.request(request.method, request.target, request.body, headers | {"x-tenant-id": tenant})
            answer = upstream.getresponse()
            body, kind = answer.read(), answer.getheader("Content-Type", JSON)
        except TimeoutError:
            return json_response(504, {"detail": "upstream timed out"})
        except (OSError, http.client.HTTPException) as error:
            log(f"upstream {self._upstream.netloc}: {error}")
            return json_response(502, {"detail": "upstream unreachable"})
        finally:
            upstream.close()
        return Response(status=answer.status, body=body, content_type=kind)


def main() -> None:
    """Serve until SIGTERM."""
    options = _options()
    hold_signals()
    verifier = Verifier(f"{options.issuer_url.rstrip('/')}/realms/{options.realm}")
    instead = _INSTEAD.get(options.instead)
    gateway = Gateway(options.host, options.upstream, verifier, options.upstream_timeout, instead)
    with Server(NAME, options.port, gateway):
        wait_for_end()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, required=True, help="port on 127.0.0.1")
    add("--upstream", required=True, metavar="URL", help="address of ApexFlow")
    add("--issuer-url", required=True, metavar="URL", help="public address of the issuer, without /realms/...")
    add("--realm", default="aetherlink", help="realm whose tokens are accepted (default: %(default)s)")
    add("--host", default="apexflow.aetherlink.local", help="the Host that is routed (default: %(default)s)")
    add("--upstream-timeout", type=float, default=10.0, metavar="S", help="seconds before a 504 (default: 10)")
    add("--instead", choices=_INSTEAD, help="fault: what the edge proxy answers in place of the gateway")
    return parser.parse_args()


if __name__ == "__main__":
    main()
