"""Bearer tokens of one issuer, verified by its published keys."""

import json
import threading
import urllib.request
from typing import Any

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jws import JWS
from jwcrypto.jwt import JWT, JWTExpired

_JWKS_TIMEOUT_S = 2.0
_CLOCK_SKEW_S = 2


class InvalidTokenError(Exception):
    """The token is not to be trusted; the text says why, without the token."""


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be fetched now."""


class Verifier:
    """Claims of a token; keys are fetched when a key id is unknown, so the issuer may start later or change them."""

    def __init__(self, issuer: str) -> None:
        """`issuer` is what `iss` must be; its keys are below it, where Keycloak has them."""
        self._issuer = issuer
        self._keys = JWKSet()
        self._fetching = threading.Lock()

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that is signed by the issuer and alive."""
        key = self._key(_key_id(token))
        verified = JWT(algs=["RS256"], check_claims={"iss": None, "exp": None}, expected_type="JWS")
        verified.leeway = _CLOCK_SKEW_S
        try:
            verified.deserialize(token, key)
        except JWTExpired as error:
            raise InvalidTokenError("token expired") from error
        except (JWException, ValueError) as error:
            raise InvalidTokenError("invalid token signature") from error
        claims: dict[str, Any] = json.loads(verified.claims)
        if claims["iss"] != self._issuer:
            raise InvalidTokenError(f"invalid issuer: {claims['iss']}, expected {self._issuer}")
        return claims

    def _key(self, key_id: str) -> JWK:
        with self._fetching:
            key = self._keys.get_key(key_id)
            if key is None:
                self._keys = self._fetched_keys()
                key = self._keys.get_key(key_id)
        if key is None:
            raise InvalidTokenError("token signed with an unknown key")
        return key

    def _fetched_keys(self) -> JWKSet:
        address = f"{self._issuer}/protocol/openid-connect/certs"
        try:
            with urllib.request.urlopen(address, timeout=_JWKS_TIMEOUT_S) as answer:  # noqa: S310 - the operator's own address
                return JWKSet.from_json(answer.read())
        except (OSError, ValueError, JWException) as error:
            raise KeysUnavailableError(f"cannot fetch the keys of {self._issuer}: {error}") from error


def _key_id(token: str) -> str:
    """Return the header's `kid`; nothing of the token is trusted for it."""
    try:
        jws = JWS()
        jws.deserialize(token)
        return str(jws.jose_header["kid"])
    except (JWException, ValueError, KeyError) as error:
        raise InvalidTokenError("malformed token") from error
