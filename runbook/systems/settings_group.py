"""The base of every system's settings: defaults, runbook.toml, `*_FILE`, environment; later ones win.

Each group knows of every setting where its value came from, so that a fix names the place that has to be changed.
"""

from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, SecretStr, model_validator
from pydantic.fields import FieldInfo

from runbook.errors import UsageError
from runbook.systems.addresses import Address, split_address
from runbook.systems.runtime import Service
from runbook.systems.setting_sources import FILE_SUFFIX, Source, TomlTable


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
    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, given: "Given") -> Self:
        """Return the settings that were given, defaults for the rest. Raises pydantic's ValidationError."""
        loaded = cls(**given.values)
        loaded._prefix = given.prefix
        loaded._sources = {**_sources_of_logins(cls, given), **given.sources}
        return loaded

    def variable(self, setting: str) -> str:
        """Return the environment variable of a setting, whether it is set or not."""
        prefix = self._prefix or f"RUNBOOK_{type(self).__name__.removesuffix('Settings')}_"
        return f"{prefix}{setting}".upper()

    def source(self, setting: str) -> Source:
        """Return where a setting came from."""
        return self._sources.get(setting) or Source(kind="default", name=self.variable(setting))

    def place_of(self, setting: str) -> str:
        """Return how a fix names the place to set a setting: its line in runbook.toml, else its variable.

        `password_file` is the place for the file of a secret, or where the secret itself is set.
        """
        is_file = setting not in type(self).model_fields
        source = self.source(setting.removesuffix(FILE_SUFFIX.lower()) if is_file else setting)
        return self.variable(setting) if source.kind == "default" or not source.is_edited else source.name

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


class ServiceGroup(Group):
    """Settings of a system that runs as one service, named by its fields `service` and `container`."""

    @property
    def as_service(self) -> Service:
        """Return it as the runtime is asked for it."""
        return service_of(self)


def service_of(group: Group, prefix: str = "") -> Service:
    """Return the service that the settings `service` and `container` name, each with `prefix` before it."""
    name, container = f"{prefix}service", f"{prefix}container"
    return Service(
        name=getattr(group, name),
        container=getattr(group, container),
        setting=group.place_of(container),
        is_named=any(group.source(setting).kind != "default" for setting in (name, container)),
    )


def is_secret(info: FieldInfo) -> bool:
    """Whether a setting holds a secret: its value is never shown, and a file can hold it."""
    return "SecretStr" in str(info.annotation)


def _logins(kind: type[Group]) -> dict[str, Login]:
    return {name: one for name, info in kind.model_fields.items() for one in info.metadata if isinstance(one, Login)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given of one group's settings, and where; `prefix` is what its variables begin with."""

    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    prefix: str

    def without(self, settings: Container[str]) -> Self:
        """Return the same without some settings."""
        values = {name: value for name, value in self.values.items() if name not in settings}
        sources = {name: source for name, source in self.sources.items() if name not in settings}
        return replace(self, values=values, sources=sources)


def given_settings(
    kind: type[Group],
    table: Mapping[str, Any],
    *,
    prefix: str,
    environment: Mapping[str, str],
    toml: TomlTable,
    old_variables: Mapping[str, str] | None = None,
) -> Given:
    """Return what a table of runbook.toml and the environment (names in upper case) give; a variable wins.

    `old_variables` are former names of variables by setting, read where the present one is not set. Raises UsageError
    for a secret file that cannot be read, and for a secret that is given both ways.
    """
    values, sources = _from_table(kind, table, toml)
    for name, info in kind.model_fields.items():
        present = f"{prefix}{name}".upper()
        variable = present if environment.get(present) else (old_variables or {}).get(name, present)
        from_file = f"{present}{FILE_SUFFIX}"
        if environment.get(variable):
            values[name], sources[name] = environment[variable], Source(kind="environment", name=variable)
        elif is_secret(info) and environment.get(from_file):
            path = Path(environment[from_file])
            values[name] = _read(path, from_file)
            sources[name] = Source(kind="environment", name=from_file, secret_file=path)
    return Given(values=values, sources=sources, prefix=prefix)


def _from_table(
    kind: type[Group], table: Mapping[str, Any], toml: TomlTable
) -> tuple[dict[str, Any], dict[str, Source]]:
    """Return what a table gives: values, and secrets of the files that `password_file` names, relative to its own."""
    path = Path(toml.source)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for key, value in table.items():
        secret = key.removesuffix(FILE_SUFFIX.lower())
        is_file = key not in kind.model_fields and secret in kind.model_fields and is_secret(kind.model_fields[secret])
        name, place = (secret if is_file else key), toml.place(key)
        if name in values:
            fix = f"keep {secret}_file, and leave {secret} out"
            raise UsageError(f"{secret} is given twice, by itself and by a file", where=place, fix=fix)
        file = _named_file(value, toml, place) if is_file else None
        values[name] = _read(file, place) if file else value
        sources[name] = Source(kind="file", name=place, secret_file=file, toml=path, is_edited=toml.is_edited)
    return values, sources


def _named_file(value: object, toml: TomlTable, place: str) -> Path:
    if not isinstance(value, str) or not value:
        raise UsageError(
            "The path of a secret file must be text", where=place, fix='write it like this: "password.txt"'
        )
    return toml.folder / Path(value).expanduser()


def _sources_of_logins(kind: type[Group], given: Given) -> dict[str, Source]:
    """Return where user and password came from that were moved out of an address: from where the address did."""
    found: dict[str, Source] = {}
    for address, login in _logins(kind).items():
        if address in given.sources:
            moved = login.moved(split_address(given.values[address]))
            found |= dict.fromkeys(moved, given.sources[address])
    return found


def _read(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The secret file cannot be read: {error}", where=place, fix=f"correct {place}") from None
