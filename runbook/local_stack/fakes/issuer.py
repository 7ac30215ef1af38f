"""`python -m runbook.local_stack.fakes.issuer`: an OpenID Connect issuer with the answers of one Keycloak realm.

Password and refresh grants for one public client, discovery, JWKS. Users come from the environment variable
STANDIN_USERS (`name:password`, comma-separated; default demo:demo). Refusals are those of Keycloak 25, which the field
has; 26.7 answers a wrong password with 400 instead of 401, its error and description are the same (measured).
Deviations: the key lives and dies with the process, `iss` is one fixed URL instead of the request's Host, and there are
no sessions to end.
"""

import argparse
import json
import os
import threading
import time
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from runbook.local_stack.fakes.serving import (
    HOST,
    App,
    Request,
    Response,
    Route,
    Server,
    json_response,
    routed,
)
from runbook.platforms import hold_signals, wait_for_end

NAME = "issuer"
USERS_VARIABLE = "STANDIN_USERS"
_REFRESH_LIFETIME_S = 1800
_SCOPE = "profile email"
_PAUSE = threading.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """One realm with one public client; a tenant of None leaves the claim `tenant_id` out."""

    name: str
    client: str
    tenant: str | None
    issuer: str
    users: dict[str, str]
    not_set_up: frozenset[str]
    disabled: frozenset[str]
    locked: frozenset[str]
    direct_grants: bool
    token_lifetime_s: int
    is_enabled: bool
    wants_https: bool
    prefix: str
    delay_s: float


class RefusedError(Exception):
    """An OAuth 2.0 error answer: status, `error` and `error_description`."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(error)
        self.response = json_response(status, {"error": error, "error_description": description})


class Issuer:
    """Answers for one realm; signs with a key of its own (access: RS256, refresh: HS512, as Keycloak does)."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._key = JWK.generate(kty="RSA", size=2048, use="sig", alg="RS256", kid=uuid.uuid4().hex)
        self._refresh_key = JWK.generate(kty="oct", size=512)

    def app(self) -> App:
        """Return the endpoints, under the paths that Keycloak has them."""
        realms = f"{self._realm.prefix}/realms/{{realm}}"
        connect = f"{realms}/protocol/openid-connect"
        return routed(
            (
                Route("POST", f"{connect}/token", self._in_realm(self._token)),
                Route("GET", f"{connect}/certs", self._in_realm(self._certs)),
                Route("GET", f"{realms}/.well-known/openid-configuration", self._in_realm(self._discovery)),
                Route("GET", realms, self._in_realm(self._realm_facts)),
                Route("GET", "/health/ready", lambda _: json_response(200, {"status": "UP", "checks": []})),
            ),
            not_found={"error": "Unable to find matching target resource method"},
        )

    def _in_realm(self, handler: App) -> App:
        def checked(request: Request) -> Response:
            _PAUSE.wait(self._realm.delay_s)
            if request.variables["realm"] != self._realm.name:
                return json_response(404, {"error": "Realm does not exist"})
            return handler(request)

        return checked

    def _token(self, request: Request) -> Response:
        form = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
        try:
            self._must_serve()
            return self._granted(self._user_of(form))
        except RefusedError as refused:
            return refused.response

    def _must_serve(self) -> None:
        """Raise RefusedError where the realm lets nobody log in; its page is served all the while, as Keycloak's."""
        if not self._realm.is_enabled:
            raise RefusedError(403, "access_denied", "Realm not enabled")
        if self._realm.wants_https:
            raise RefusedError(403, "invalid_request", "HTTPS required")

    def _user_of(self, form: dict[str, str]) -> str:
        """Return the user whom the grant in `form` speaks for; the order of checks is Keycloak's."""
        grant = form.get("grant_type")
        if grant is None:
            raise RefusedError(400, "invalid_request", "Missing form parameter: grant_type")
        if form.get("client_id") != self._realm.client:
            raise RefusedError(401, "invalid_client", "Invalid client or Invalid client credentials")
        if grant == "password":
            return self._password_grant(form)
        if grant == "refresh_token":
            return self._refresh_grant(form)
        raise RefusedError(400, "unsupported_grant_type", "Unsupported grant_type")

    def _password_grant(self, form: dict[str, str]) -> str:
        if not self._realm.direct_grants:
            raise RefusedError(400, "unauthorized_client", "Client not allowed for direct access grants")
        user = form.get("username")
        if user is None:
            raise RefusedError(401, "invalid_request", "Missing parameter: username")
        is_known = user in self._realm.users and self._realm.users[user] == form.get("password")
        if not is_known or user in self._realm.locked:
            raise RefusedError(401, "invalid_grant", "Invalid user credentials")
        if user in self._realm.disabled:
            raise RefusedError(400, "invalid_grant", "Account disabled")
        if user in self._realm.not_set_up:
            raise RefusedError(400, "invalid_grant", "Account is not fully set up")
        return user

    def _refresh_grant(self, form: dict[str, str]) -> str:
        if "refresh_token" not in form:
            raise RefusedError(400, "invalid_request", "No refresh token")
        try:
            token = JWT(jwt=form["refresh_token"], key=self._refresh_key, algs=["HS512"])
        except (JWException, ValueError) as error:
            raise RefusedError(400, "invalid_grant", "Invalid refresh token") from error
        return str(json.loads(token.claims)["preferred_username"])

    def _granted(self, user: str) -> Response:
        session = str(uuid.uuid4())
        lifetime_s = self._realm.token_lifetime_s
        access = self._claims(user, session, "Bearer", lifetime_s) | {"aud": "account", "scope": _SCOPE}
        if self._realm.tenant is not None:
            access["tenant_id"] = self._realm.tenant
        refresh = self._claims(user, session, "Refresh", _REFRESH_LIFETIME_S) | {"aud": self._realm.issuer}
        document = {
            "access_token": _signed(access, self._key, "RS256"),
            "expires_in": lifetime_s,
            "refresh_expires_in": _REFRESH_LIFETIME_S,
            "refresh_token": _signed(refresh, self._refresh_key, "HS512"),
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": session,
            "scope": _SCOPE,
        }
        return json_response(200, document, {"Cache-Control": "no-store", "Pragma": "no-cache"})

    def _claims(self, user: str, session: str, kind: str, lifetime_s: int) -> dict[str, object]:
        now = int(time.time())
        return {
            "exp": now + lifetime_s,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "iss": self._realm.issuer,
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._realm.name}/{user}")),
            "typ": kind,
            "azp": self._realm.client,
            "sid": session,
            "preferred_username": user,
        }

    def _certs(self, _: Request) -> Response:
        return json_response(200, {"keys": [self._key.export_public(as_dict=True)]})

    def _discovery(self, _: Request) -> Response:
        issuer = self._realm.issuer
        connect = f"{issuer}/protocol/openid-connect"
        document = {
            "issuer": issuer,
            "token_endpoint": f"{connect}/token",
            "jwks_uri": f"{connect}/certs",
            "grant_types_supported": ["password", "refresh_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
        }
        return json_response(200, document)

    def _realm_facts(self, _: Request) -> Response:
        pem = self._key.export_to_pem().decode()
        document = {
            "realm": self._realm.name,
            "public_key": "".join(pem.splitlines()[1:-1]),
            "token-service": f"{self._realm.issuer}/protocol/openid-connect",
            "account-service": f"{self._realm.issuer}/account",
            "tokens-not-before": 0,
        }
        return json_response(200, document)


def main() -> None:
    """Serve until SIGTERM."""
    options = _options()
    hold_signals()
    public = options.issuer_url or f"http://{HOST}:{options.port}"
    realm = Realm(
        name=options.realm,
        client=options.client,
        tenant=None if options.no_tenant_claim else options.tenant,
        issuer=f"{public.rstrip('/')}/realms/{options.realm}",
        users=_users(os.environ.get(USERS_VARIABLE, "demo:demo")),
        not_set_up=frozenset(options.not_set_up),
        disabled=frozenset(options.disabled),
        locked=frozenset(options.locked),
        is_enabled=not options.realm_off,
        wants_https=options.wants_https,
        prefix=options.prefix.rstrip("/"),
        delay_s=options.delay,
        direct_grants=not options.no_direct_grants,
        token_lifetime_s=options.token_lifetime,
    )
    with Server(NAME, options.port, Issuer(realm).app()):
        wait_for_end()


def _signed(claims: dict[str, object], key: JWK, algorithm: str) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": key.get("kid") or "refresh"}
    token = JWT(header=header, claims=claims)
    token.make_signed_token(key)
    return str(token.serialize())


def _users(text: str) -> dict[str, str]:
    """Return name to password from `demo:demo,anna:secret`."""
    pairs = (entry.partition(":") for entry in text.split(",") if entry.strip())
    return {name.strip(): password for name, _, password in pairs}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m runbook.local_stack.fakes.{NAME}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, required=True, help="port on 127.0.0.1")
    add("--realm", default="aetherlink", help="name of the realm (default: %(default)s)")
    add("--client", default="aetherlink-gateway", help="id of the public client (default: %(default)s)")
    add("--tenant", default="acme", help="value of the claim tenant_id (default: %(default)s)")
    add("--issuer-url", metavar="URL", help="public address; `iss` is URL/realms/REALM (default: this server)")
    add("--token-lifetime", type=int, default=300, metavar="S", help="seconds a token lives (default: 300)")
    add("--no-direct-grants", action="store_true", help="fault: the password grant is off for the client")
    add("--no-tenant-claim", action="store_true", help="fault: tokens carry no tenant_id")
    add("--not-set-up", action="append", default=[], metavar="USER", help="fault: USER has required actions left")
    add("--disabled", action="append", default=[], metavar="USER", help="fault: USER is disabled")
    add("--locked", action="append", default=[], metavar="USER", help="fault: failed logins have locked USER")
    add("--realm-off", action="store_true", help="fault: the realm is disabled")
    add("--wants-https", action="store_true", help="fault: the realm takes no login without https")
    add("--prefix", default="", metavar="PATH", help="fault: its paths begin with PATH, such as /auth")
    add("--delay", type=float, default=0.0, metavar="S", help="fault: seconds before each answer of the realm")
    return parser.parse_args()


if __name__ == "__main__":
    main()
