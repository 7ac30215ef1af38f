"""What Prometheus has loaded, scrapes, evaluates and stores, as the rest of this project sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The configuration in force, which after a failed reload is an older one than the file. Holds no rule bodies."""

    text: str
    rule_files: tuple[str, ...]
    jobs: tuple[str, ...]
    scrape_interval_s: float
    has_alertmanagers: bool

    def lists(self, path: str) -> bool:
        """Whether an entry of rule_files means the file; a relative one is taken by its name."""
        return any(_means(pattern, path) for pattern in self.rule_files)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeTarget:
    """One target. A dropped one was discovered, then removed by relabelling: of it only the job is known.

    `health` is "up", "down" or "unknown" (not scraped yet); `last_scrape` is None until then.
    """

    job: str
    url: str
    health: str
    last_error: str
    last_scrape: datetime | None
    scrape_interval_s: float
    dropped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAlert:
    """One alert that a rule holds pending or firing, since `active_at`."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    active_at: datetime | None
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One loaded rule. `type` is "alerting" or "recording"; `duration_s` (its `for`) and `state` are of alerts only.

    `health` is "ok", "err" or "unknown"; until the first evaluation it is unknown and `last_evaluation` None.
    """

    name: str
    type: str
    query: str
    duration_s: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    health: str
    last_error: str
    last_evaluation: datetime | None
    state: str
    alerts: tuple[RuleAlert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """One loaded group; `file` is the path as Prometheus itself sees it."""

    name: str
    file: str
    interval_s: float
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of an instant query; a scalar has no labels. `at` is the time of evaluation, not of the scrape."""

    labels: Mapping[str, str]
    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series with its raw samples, oldest first, at the times of their scrapes."""

    labels: Mapping[str, str]
    samples: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadAnswer:
    """200: loaded; 500: refused, the old configuration lives on; 403: started without --web.enable-lifecycle."""

    status: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanagers:
    """The addresses that alerts are sent to, and those that were discovered but dropped."""

    active: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusRuntime:
    """This process: a later `started_at` proves a restart, a later `config_loaded_at` a reload that succeeded."""

    version: str
    started_at: datetime
    reload_succeeded: bool
    config_loaded_at: datetime | None
    working_dir: str


def _means(pattern: str, path: str) -> bool:
    if pattern.startswith("/"):
        return fnmatchcase(path, pattern)
    return fnmatchcase(PurePosixPath(path).name, PurePosixPath(pattern).name)
