"""How an environment variable of the sink is declared, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """An environment variable that the sink cannot start with. The message never has the value of a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable with its default and its meaning. A secret may also come from the file that NAME_FILE names.

    Unset and empty are the same, because compose files write `${NAME:-}` for both.
    """

    name: str
    default: str = ""
    meaning: str
    is_secret: bool = False

    def text(self, env: Mapping[str, str]) -> str:
        """Return the value, or the default."""
        return env.get(self.name, "").strip() or self.default

    def number(self, env: Mapping[str, str], highest: int) -> int:
        """Return a whole number from 1 to the highest."""
        seen = self.text(env)
        if not (seen.isascii() and seen.isdigit() and 1 <= int(seen) <= highest):
            raise SettingsError(f"{self.name} is {seen!r}; it must be a whole number from 1 to {highest}")
        return int(seen)

    def choice(self, env: Mapping[str, str], allowed: tuple[str, ...], default: str = "") -> str:
        """Return one of the allowed words; `default` takes the place of the declared one."""
        seen = env.get(self.name, "").strip() or default or self.default
        if seen not in allowed:
            raise SettingsError(f"{self.name} is {seen!r}; it must be {' or '.join(allowed)}")
        return seen

    def secret(self, env: Mapping[str, str]) -> str:
        """Return the value of the variable, or the content of the file that NAME_FILE names, or nothing."""
        direct, path = env.get(self.name, "").strip(), env.get(f"{self.name}_FILE", "").strip()
        if direct and path:
            raise SettingsError(f"{self.name} and {self.name}_FILE are both set; unset one of them")
        return secret_from_file(f"{self.name}_FILE", Path(path)) if path else direct


def secret_from_file(name: str, path: Path) -> str:
    """Read the file that the variable `name` names; its last newline is not part of the secret."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name} is {str(path)!r}; it must be a readable file: {reason}") from None
