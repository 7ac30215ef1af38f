"""python-keycloak's client over our own session: one deadline, one limit, no redirects, TLS as everywhere."""

from keycloak import KeycloakOpenID
from keycloak.connection import ConnectionManager

from runbook.systems.http_session import BoundedSession


class OpenId(KeycloakOpenID):
    """The library's client of one realm, as one client of it."""

    def __init__(
        self,
        session: BoundedSession,
        url: str,
        *,
        realm: str,
        client_id: str,
        client_secret: str | None,
        timeout_s: float,
    ) -> None:
        self.client_id = client_id
        self.client_secret_key = client_secret
        self.realm_name = realm
        self.connection = _Connection(session, f"{url.rstrip('/')}/", timeout_s)


class _Connection(ConnectionManager):
    """The library's connection without the two sessions that it would make.

    One would follow a redirect with the password, and wait and read without end. The other is never used, and fails for
    proxies and certificates of the environment that it does not understand.
    """

    def __init__(self, session: BoundedSession, base_url: str, timeout_s: float) -> None:
        self._s = session
        self.base_url = base_url
        self.headers = {}
        self.timeout = timeout_s  # type: ignore[assignment]  # requests takes fractions, too
        self.verify = True
        self.cert = None
