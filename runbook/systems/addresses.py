"""Addresses without what is secret in them: `http://user:password@host?token=...` is taken apart when it is read."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+._-]*://", re.IGNORECASE)
_OF_THIS_HOST: Final = frozenset({"unix://", "npipe://", "fd://"})
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
_AUTHORITY: Final = re.compile(r"[^/?#]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address and what was in it; `plain` has neither user nor password nor query."""

    plain: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    query: str = field(default="", repr=False)

    @property
    def with_query(self) -> str:
        """The address with its query, if it has one."""
        return f"{self.plain}?{self.query}" if self.query else self.plain


def split_address(written: str) -> Address:
    """Return the parts of an address, user and password without their percent signs.

    Raises ValueError, which quotes nothing, when an @ stands behind the host: it may end a password that holds a `/`.
    """
    scheme = _first(_SCHEME, written)
    authority = _first(_AUTHORITY, written.removeprefix(scheme))
    path, _, query = written[len(scheme) + len(authority) :].partition("?")
    if "@" in path or "@" in query:
        raise ValueError("has an @ after the host: write %2F for /, %3F for ? and %23 for # in a password, else %40")
    login, _, host = authority.rpartition("@")
    username, _, password = login.partition(":")
    return Address(plain=f"{scheme}{host}{path}", username=unquote(username), password=unquote(password), query=query)


def holds_password(engine: str) -> bool:
    """Whether the address of a Docker engine holds a password, or what may be one: all but the user of `ssh://`."""
    scheme = _first(_SCHEME, engine).lower()
    if scheme in _OF_THIS_HOST:
        return False
    try:
        address = split_address(engine)
    except ValueError:
        return True
    return bool(address.password) or (bool(address.username) and scheme != "ssh://")


def is_loopback(host: str) -> bool:
    """Say whether a host is this one by its name alone: localhost, 127.0.0.0/8, ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_this_host(host: str) -> bool:
    """Say whether a connection to a host stays on this one by its name alone: also 0.0.0.0 and *.localhost."""
    return is_loopback(host) or host in _UNSPECIFIED or host.lower().endswith(".localhost")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return found[0] if found else ""
