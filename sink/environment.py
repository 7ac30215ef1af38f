"""Reading variables of the environment, and the error that names the one that is wrong."""

from collections.abc import Mapping
from pathlib import Path


class SettingsError(Exception):
    """A variable of the environment that the sink cannot start with."""


def value(env: Mapping[str, str], name: str) -> str:
    """Return a variable; unset and empty are the same, because compose files write `${NAME:-}` for both."""
    return env.get(name, "").strip()


def number(env: Mapping[str, str], name: str, default: int, highest: int) -> int:
    """Return a whole number from 1 to the highest."""
    seen = value(env, name) or str(default)
    if not (seen.isascii() and seen.isdigit() and 1 <= int(seen) <= highest):
        raise SettingsError(f"{name} is {seen!r}; allowed is a whole number from 1 to {highest}")
    return int(seen)


def choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed words; the first is the default."""
    seen = value(env, name) or allowed[0]
    if seen not in allowed:
        raise SettingsError(f"{name} is {seen!r}; allowed is {' or '.join(allowed)}")
    return seen


def secret(env: Mapping[str, str], name: str) -> str:
    """Return a secret from its variable, or from the file that NAME_FILE names; empty if there is neither."""
    direct, path = value(env, name), value(env, f"{name}_FILE")
    if direct and path:
        raise SettingsError(f"{name} and {name}_FILE are both set; allowed is one of them")
    return secret_from(f"{name}_FILE", Path(path)) if path else direct


def secret_from(name: str, path: Path) -> str:
    """Read a secret's file; its last newline is not part of it."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name} is {str(path)!r}; allowed is a readable file: {reason}") from None
