"""The two files that setup changes, as they are now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import RunbookError
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels
from runbook.files.recognised import present
from runbook.systems.runtime import Runtime, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """A file as it was read: from this host, or from inside the service when nothing names a path on this host."""

    where: str
    content: bytes


def read_file(runtime: Runtime, service: Service, path: Path | None, *, inside: str) -> FileFact:
    """Read a file of this host, or without a path the one that the service itself sees. Raises RunbookError."""
    if path is None:
        where, content = f"{inside} in {service.container}", runtime.file_inside(service, inside)
        if content is None:
            fix = "set the files' monitoring_dir in runbook.toml, or mount the file"
            raise RunbookError("There is no such file", where=where, fix=fix)
        return FileFact(where=where, content=content)
    try:
        return FileFact(where=str(path), content=path.read_bytes())
    except OSError as error:
        fix = "correct the path in runbook.toml, or run as a user who may read it"
        raise RunbookError(f"The file cannot be read: {error.strerror}", where=str(path), fix=fix) from None


def panel_ids(document: bytes) -> frozenset[int]:
    """Return which of the runbook's panels a dashboard file holds; ValueError when it is no dashboard."""
    return our_panels(json.loads(document.decode("utf-8-sig"))["panels"])


def our_panels(panels: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """Return which of the runbook's panels are among these, by the runbook's ids: setup may have renumbered them."""
    return frozenset(present(panels, wanted_panels(Datasource()).panels))
