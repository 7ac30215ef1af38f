"""What is said of secrets that stand in runbook.toml itself: a file of their own that a key names is safer."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runbook.settings import Target
from runbook.systems.setting_sources import Source
from runbook.systems.settings_group import is_secret

_OTHERS: Final = 0o077
_SECRET_OPTION: Final = re.compile(r"password|secret|token|private|key\.pem|sasl\.jaas", re.IGNORECASE)


def setting_warnings(target: Target) -> tuple[str, ...]:
    """Return what to tell the operator of secrets in the settings file, by the names of their keys; no value."""
    sources = tuple(_sources_of_secrets(target))
    written = dict.fromkeys(source.name for source in sources if source.secret_file is None)
    files = dict.fromkeys(path for one in sources if (path := one.secret_file or one.toml))
    advice = "write it to a file of its own, and name that by the same key with _file at its end"
    return (
        *(f"{place} holds a secret: {advice}" for place in written),
        *(warning for path in files if (warning := _open_to_others(path))),
    )


def _sources_of_secrets(target: Target) -> Iterator[Source]:
    """Yield the places of runbook.toml that hold a secret, also as a part of an address, or name a file of one."""
    for group in target.groups.values():
        for name, info in type(group).model_fields.items():
            value = getattr(group, name)
            source = group.source(name)
            is_given = is_secret(info) and source.kind == "file" and source.is_edited
            if is_given and (not isinstance(value, dict) or any(map(_SECRET_OPTION.search, value))):
                yield source


def _open_to_others(path: Path) -> str:
    """Say that others may read a file; nothing where its rights say nothing, as on Windows."""
    if os.name != "posix":
        return ""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:  # it is gone meanwhile
        return ""
    return (
        f"{path} holds a secret, and others may read it (mode {mode:04o}): chmod 600 {path}" if mode & _OTHERS else ""
    )
