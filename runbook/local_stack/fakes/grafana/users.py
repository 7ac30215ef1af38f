"""Who may do what, by the basic roles of an organisation (Grafana's documentation, "RBAC permissions", 11.2).

A request needs one permission. Listing data sources needs `datasources:read`, which is here the Admin's alone; in
Grafana itself a Viewer may have it, by edition, version and assigned roles.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runbook.local_stack.fakes.serving import App, Request, Response, json_response

READ_DASHBOARDS: Final = "dashboards:read"
QUERY: Final = "datasources:query"
READ_SOURCES: Final = "datasources:read"
RELOAD: Final = "provisioning:reload"
_VIEWER: Final = frozenset({READ_DASHBOARDS, QUERY})
_ROLES: Final[Mapping[str, frozenset[str]]] = {
    "None": frozenset(),
    "Viewer": _VIEWER,
    "Editor": _VIEWER,
    "Admin": _VIEWER | {READ_SOURCES, RELOAD},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A login, and the basic role that it has."""

    name: str
    password: str
    role: str = "Admin"

    def may(self, permission: str) -> bool:
        """Whether the role has a permission."""
        return permission in _ROLES[self.role]


def users_of(text: str) -> tuple[User, ...]:
    """Return the users of `NAME:PASSWORD:ROLE,...`; ValueError for another form or an unknown role."""
    users = tuple(
        User(**dict(zip(("name", "password", "role"), one.split(":"), strict=True))) for one in text.split(",")
    )
    if unknown := {user.role for user in users} - _ROLES.keys():
        raise ValueError(f"unknown role {min(unknown)}")
    return users


class Doors:
    """Lets in who has a login and the permission that a request needs."""

    def __init__(self, users: tuple[User, ...]) -> None:
        """Take everybody who has a login."""
        self._users = users

    def needing(self, permission: str, app: App) -> App:
        """Answer only who has a permission."""

        def checked(request: Request) -> Response:
            user = self._user(request)
            if isinstance(user, Response):
                return user
            return app(request) if user.may(permission) else _forbidden(permission)

        return checked

    def open_to_users(self, app: App) -> App:
        """Answer every user."""

        def checked(request: Request) -> Response:
            user = self._user(request)
            return user if isinstance(user, Response) else app(request)

        return checked

    def _user(self, request: Request) -> User | Response:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        challenge = {} if request.path.startswith("/api/") else {"WWW-Authenticate": 'Basic realm="Grafana"'}
        if scheme.lower() != "basic":
            return _unauthorized("Unauthorized", "auth.unauthorized", challenge)
        login = _decoded(encoded)
        for user in self._users:
            if hmac.compare_digest(login, f"{user.name}:{user.password}".encode()):
                return user
        return _unauthorized("Invalid username or password", "password-auth.failed", challenge)


def _forbidden(permission: str) -> Response:
    text = f"You'll need additional permissions to perform this action. Permissions needed: {permission}"
    return json_response(403, {"accessErrorId": "ACE0000000000", "message": text, "title": "Access denied"})


def _unauthorized(text: str, message_id: str, headers: Mapping[str, str]) -> Response:
    document = {"message": text, "messageId": message_id, "statusCode": 401, "traceID": ""}
    return json_response(401, document, headers)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""
