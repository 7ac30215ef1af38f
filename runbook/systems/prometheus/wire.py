"""What travels: the parts of the JSON of Prometheus's HTTP API that are read, and the records that they become."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
import yaml

from runbook.platforms import utc
from runbook.systems.gotime import duration_s, moment
from runbook.systems.http_answer import Answer
from runbook.systems.prometheus.records import LoadedConfig, Rule, RuleAlert, RuleGroup, ScrapeTarget

T = TypeVar("T")

_DEFAULT_SCRAPE_INTERVAL: Final = "1m"
_MOST_CHARACTERS: Final = 1_000_000
_WEIGHT: Final = 10  # of a value that YAML may hold, in characters: reading one takes 30 microseconds
_TRY_AGAIN: Final = "try again; if it stays so, read Prometheus's log"
_FIXES: Final = {"bad_data": "correct the query", "execution": "correct the query"}


class _Wire(msgspec.Struct, rename="camel"):
    """Members as JSON names them; unknown ones are skipped."""


class _Envelope(_Wire):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = ""
    error: str = ""


class Config(_Wire):
    """The parts of /status/config."""

    yaml: str


class _ActiveTarget(_Wire):
    labels: dict[str, str]
    scrape_url: str
    health: str
    last_error: str
    last_scrape: datetime
    scrape_interval: str
    scrape_pool: str = ""


class _DroppedTarget(_Wire):
    discovered_labels: dict[str, str]


class Targets(_Wire):
    """/targets."""

    active_targets: list[_ActiveTarget]
    dropped_targets: list[_DroppedTarget]


class _Alert(_Wire):
    labels: dict[str, str]
    annotations: dict[str, str]
    state: str
    active_at: datetime | None
    value: str


class _Rule(_Wire):
    name: str
    type: str
    query: str
    health: str
    last_evaluation: datetime
    last_error: str = ""
    duration: float = 0.0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    state: str = ""
    alerts: list[_Alert] = []


class _Group(_Wire):
    name: str
    file: str
    interval: float
    rules: list[_Rule]


class Groups(_Wire):
    """/rules."""

    groups: list[_Group]


class Point(msgspec.Struct, array_like=True):
    """A time and a value, which is text: JSON has no NaN."""

    epoch_s: float
    written: str

    @property
    def at(self) -> datetime:
        """Return the time, in UTC."""
        return utc(self.epoch_s)

    @property
    def value(self) -> float:
        """Return the number."""
        return float(self.written)


class Result(_Wire):
    """/query: the type says what the result holds."""

    result_type: str
    result: msgspec.Raw


class VectorItem(_Wire):
    """One series of an instant query."""

    metric: dict[str, str]
    value: Point | None = None


class MatrixItem(_Wire):
    """One series with all its samples in a window."""

    metric: dict[str, str]
    values: list[Point] = []


class _Url(_Wire):
    url: str


class AlertmanagerUrls(_Wire):
    """/alertmanagers."""

    active_alertmanagers: list[_Url]
    dropped_alertmanagers: list[_Url]


class BuildInfo(_Wire):
    """/status/buildinfo."""

    version: str


class RuntimeInfo(_Wire):
    """/status/runtimeinfo."""

    start_time: datetime
    reload_config_success: bool
    last_config_time: datetime
    working_dir: str = msgspec.field(default="", name="CWD")


def data_of(answer: Answer, kind: type[T]) -> T:
    """Return the data of an answer; an error can come with any status, 200 included."""
    if not answer.is_json:
        answer.expected(HTTPStatus.OK)
    envelope = answer.read(_Envelope)
    if envelope.status != "success":
        seen = f"Prometheus answered an error: {answer.quoted(envelope.error)}"
        raise answer.error(seen, code=envelope.error_type, fix=_FIXES.get(envelope.error_type, _TRY_AGAIN))
    return answer.read_part(envelope.data, kind)


def loaded_config(text: str) -> LoadedConfig:
    """Return what the loaded configuration says. Raises yaml.YAMLError, ValueError, or what a wrong shape raises."""
    if max(len(text), _WEIGHT * sum(map(text.count, ":-[{,"))) > _MOST_CHARACTERS:
        raise ValueError("it is too large to be a configuration")
    config: dict[str, Any] = yaml.safe_load(text)
    interval = (config.get("global") or {}).get("scrape_interval", _DEFAULT_SCRAPE_INTERVAL)
    return LoadedConfig(
        text=text,
        rule_files=tuple(config.get("rule_files") or ()),
        jobs=tuple(job["job_name"] for job in config.get("scrape_configs") or ()),
        scrape_interval_s=duration_s(interval),
        has_alertmanagers=bool((config.get("alerting") or {}).get("alertmanagers")),
    )


def active_target(target: _ActiveTarget) -> ScrapeTarget:
    """Return a target that is scraped."""
    return ScrapeTarget(
        job=target.labels.get("job", target.scrape_pool),
        url=target.scrape_url,
        health=target.health,
        last_error=target.last_error,
        last_scrape=moment(target.last_scrape),
        scrape_interval_s=duration_s(target.scrape_interval),
        dropped=False,
    )


def dropped_target(target: _DroppedTarget) -> ScrapeTarget:
    """Return a target that relabelling has dropped: what it would have been."""
    labels = target.discovered_labels
    path = labels.get("__metrics_path__", "")
    return ScrapeTarget(
        job=labels.get("job", ""),
        url=f"{labels.get('__scheme__', 'http')}://{labels.get('__address__', '')}{path}",
        health="unknown",
        last_error="",
        last_scrape=None,
        scrape_interval_s=duration_s(labels.get("__scrape_interval__", _DEFAULT_SCRAPE_INTERVAL)),
        dropped=True,
    )


def rule_group(group: _Group) -> RuleGroup:
    """Return a rule group, alerts included."""
    return RuleGroup(
        name=group.name,
        file=group.file,
        interval_s=group.interval,
        rules=tuple(_rule(rule) for rule in group.rules),
    )


def _rule(rule: _Rule) -> Rule:
    return Rule(
        name=rule.name,
        type=rule.type,
        query=rule.query,
        duration_s=rule.duration,
        labels=rule.labels,
        annotations=rule.annotations,
        health=rule.health,
        last_error=rule.last_error,
        last_evaluation=moment(rule.last_evaluation),
        state=rule.state,
        alerts=tuple(_alert(alert) for alert in rule.alerts),
    )


def _alert(alert: _Alert) -> RuleAlert:
    return RuleAlert(
        labels=alert.labels,
        annotations=alert.annotations,
        state=alert.state,
        active_at=moment(alert.active_at),
        value=float(alert.value),
    )
