"""The two files that setup changes, as they are now."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.errors import RunbookError, UsageError
from runbook.files.compare import Datasource
from runbook.files.dashboard_file import dashboard_file as classic_dashboard
from runbook.files.desired import wanted_panels
from runbook.files.file_discovery import dashboard_path, mounted_rules, rules_path
from runbook.files.file_io import read_document
from runbook.files.our_panels import present
from runbook.files.text import decoded
from runbook.settings import Target
from runbook.systems.runtime import Runtime, Service
from runbook.wording import pasteable


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """A file as it was read: from this host, or from inside the service when nothing names a path on this host."""

    where: str
    content: bytes


@Fact
def rules_file(facts: Facts) -> FileFact:
    """Return the rules file of this host that setup would change; else the one inside Prometheus's container."""
    mine = facts.target.prometheus
    return _read(facts.runtime, mine.as_service, _here(facts, rules_path), inside=mine.rules_inside)


@Fact
def rules_inside(facts: Facts) -> bytes | None:
    """Return the rules file as Prometheus itself sees it; None if it is not there."""
    return facts.runtime.file_inside(facts.target.prometheus.as_service, facts.target.prometheus.rules_inside)


@Fact
def rules_mounted(facts: Facts) -> FileFact | None:
    """Return the file of this host that Prometheus's container has as its rules file; None if nobody can say.

    That is the mounted one; without a mount, the one of the settings.
    """
    mine = facts.target.prometheus
    path = mounted_rules(facts.target, facts.runtime) or _here(facts, rules_path)
    return _read(facts.runtime, mine.as_service, path, inside=mine.rules_inside) if path else None


@Fact
def dashboard_file(facts: Facts) -> FileFact:
    """Return the dashboard file of this host that setup would change; else the one inside Grafana's container."""
    mine = facts.target.grafana
    return _read(facts.runtime, mine.as_service, _here(facts, dashboard_path), inside=mine.dashboard_inside)


def panel_ids(document: FileFact) -> frozenset[int]:
    """Return which of the runbook's panels a dashboard file holds. Raises DocumentError when it is no dashboard."""
    found = classic_dashboard(decoded(document.content, path=Path("FILE")))
    return our_panels(panel.fields for panel in found.panels)


def our_panels(panels: Iterable[Mapping[str, Any]]) -> frozenset[int]:
    """Return which of the runbook's panels are among these, by the runbook's ids: setup may have renumbered them."""
    return frozenset(present(panels, wanted_panels(Datasource()).panels))


def _here(facts: Facts, path: Callable[[Target, Runtime], Path]) -> Path | None:
    """Return the path of a file on this host; None where nothing names one."""
    try:
        return path(facts.target, facts.runtime)
    except UsageError:
        return None


def _read(runtime: Runtime, service: Service, path: Path | None, *, inside: str) -> FileFact:
    """Read a file of this host, or without a path the one that the service itself sees. Raises RunbookError."""
    if path is None:
        where, content = f"{inside} in {service.container}", runtime.file_inside(service, inside)
        if content is None:
            fix = "set the files' monitoring_dir in runbook.toml, or mount the file"
            raise RunbookError("There is no such file", where=where, fix=fix)
        return FileFact(where=where, content=content)
    return FileFact(where=pasteable(path), content=read_document(path))
