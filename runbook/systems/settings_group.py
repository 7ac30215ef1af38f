"""The base of every system's settings: defaults, runbook.toml, `*_FILE`, environment; later ones win."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, model_validator
from pydantic.fields import FieldInfo

from runbook.errors import UsageError
from runbook.systems.addresses import Address, split_address
from runbook.systems.runtime import Service

FILE_SUFFIX: Final = "_FILE"


@dataclass(frozen=True, slots=True)
class Login:
    """Marks an address: the settings that take its user and its password, and its query where it may have one."""

    username: str
    password: str
    query: str = ""

    def moved(self, address: Address) -> dict[str, str]:
        """Return what an address gives to those settings."""
        parts = {self.username: address.username, self.password: address.password, self.query: address.query}
        return {setting: value for setting, value in parts.items() if setting and value}


def plain_address(otherwise: str) -> AfterValidator:
    """Return the check that an address holds no secret any more; `otherwise` says what to do with user and password."""

    def check(address: str) -> str:
        if split_address(address).plain != address:
            raise ValueError(otherwise)
        return address

    return AfterValidator(check)


NO_QUERY: Final = plain_address("has a query, and paths are appended to it: leave out the ? and what follows")
"""Of a base address whose user and password have been moved to settings of their own."""


class Group(BaseModel):
    """Settings of one system.

    User and password of an address (`http://user:password@host`) are moved to the settings that its `Login` names,
    unless those are given themselves: no address that can be shown holds a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    _prefix: str = ""

    @classmethod
    def load(cls, table: Mapping[str, Any], *, prefix: str, environment: Mapping[str, str]) -> Self:
        """Return the settings; a variable is `prefix` and the setting, in upper case.

        Raises UsageError for a secret file that cannot be read, pydantic's ValidationError for a wrong value.
        """
        loaded = cls(**{**table, **_from_environment(cls, prefix, environment)})
        loaded._prefix = prefix
        return loaded

    def variable(self, setting: str) -> str:
        """Return the environment variable of a setting, as fixes name it."""
        prefix = self._prefix or f"RUNBOOK_{type(self).__name__.removesuffix('Settings')}_"
        return f"{prefix}{setting}".upper()

    def login(self, part: str = "") -> tuple[str, str] | None:
        """Return user and password for basic authentication; None where neither is set."""
        username: str = getattr(self, f"{part}username")
        password: SecretStr | None = getattr(self, f"{part}password")
        return (username, password.get_secret_value() if password else "") if username or password else None

    @model_validator(mode="before")
    @classmethod
    def _split_addresses(cls, given: dict[str, Any]) -> dict[str, Any]:
        moved: dict[str, str] = {}
        plain: dict[str, str] = {}
        for name, login in _logins(cls).items():
            with suppress(KeyError, TypeError, ValueError):  # not given, or wrong: the check of the setting says so
                address = split_address(given[name])
                moved |= login.moved(address)
                plain[name] = address.plain if login.query else address.with_query
        return {**moved, **given, **plain}


class _Named(Protocol):
    @property
    def service(self) -> str: ...
    @property
    def container(self) -> str: ...
    def variable(self, setting: str) -> str: ...


class ServiceGroup(Group):
    """Settings of a system that runs as one service, named by its fields `service` and `container`."""

    @property
    def as_service(self: _Named) -> Service:
        """Return it as the runtime is asked for it."""
        return Service(name=self.service, container=self.container, setting=self.variable("container"))


def is_secret(info: FieldInfo) -> bool:
    """Whether a setting holds a secret: its value is never shown, and a file can hold it."""
    return "SecretStr" in str(info.annotation)


def _logins(kind: type[Group]) -> dict[str, Login]:
    return {name: one for name, info in kind.model_fields.items() for one in info.metadata if isinstance(one, Login)}


def _from_environment(kind: type[Group], prefix: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what variables, and the files that `*_FILE` names, give; an empty variable gives nothing."""
    given: dict[str, str] = {}
    for name, info in kind.model_fields.items():
        variable = f"{prefix}{name}".upper()
        value = environment.get(variable)
        path = environment.get(f"{variable}{FILE_SUFFIX}") if is_secret(info) else None
        if value:
            given[name] = value
        elif path:
            given[name] = _read(path, f"{variable}{FILE_SUFFIX}")
    return given


def _read(path: str, variable: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The secret file cannot be read: {error}", where=variable, fix=f"correct {variable}"
        ) from None
