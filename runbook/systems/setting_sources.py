"""Where a setting came from: its default, a table of runbook.toml, an environment variable, a file that one names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

FILE_SUFFIX: Final = "_FILE"
"""At the end of a variable: the file that holds the secret. In runbook.toml the same in lower case."""

_TABLE: Final = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*=")

SourceKind = Literal["default", "file", "environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one setting came from.

    `name` is how a message names the place: a variable, or `[targets.live.grafana] url in FILE:LINE`. `secret_file` is
    the file that the place names instead of holding the secret, `toml` the file that the setting is written in;
    `is_edited` is False where that file is written by a command.
    """

    kind: SourceKind
    name: str
    secret_file: Path | None = None
    toml: Path | None = None
    is_edited: bool = True

    def __str__(self) -> str:
        """Say it in words, for a list of settings."""
        place = {"default": "default", "environment": f"environment variable {self.name}"}.get(self.kind, self.name)
        return f"{place}, which names {self.secret_file}" if self.secret_file else place


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlTable:
    """A table of a settings file: where it stands, and on which lines its keys are.

    `is_edited` is False where the file is written by a command: what is wrong there is set by a variable instead.
    `old_names` are places of settings that stand in the table where they were before (`[targets.live.gateway] ...`).
    """

    source: str
    name: str
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)
    old_names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_edited: bool = False

    def place(self, key: str) -> str:
        """Return `[targets.live.grafana] url in /srv/runbook.toml:3`; without the line where it is not found."""
        table, written = self.old_names.get(key, (self.name, key))
        line = self.lines.get((table, written))
        return f"[{table}] {written} in {self.source}{f':{line}' if line else ''}"

    @property
    def folder(self) -> Path:
        """The folder that paths of secret files are relative to."""
        return Path(self.source).parent


def key_lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each key by its table, for messages; what is written in another form is left out."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _TABLE.fullmatch(line):
            table = heading[1].strip()
        elif key := _KEY.match(line):
            found.setdefault((table, key[1]), number)
    return found
