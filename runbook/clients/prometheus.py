"""Prometheus: what it has loaded, scrapes, evaluates and stores. Shapes: its HTTP API v1, met with 2.42."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
import yaml

from runbook.clients.gotime import duration_s, moment
from runbook.clients.http import Answer, HttpClient
from runbook.settings import PrometheusSettings

T = TypeVar("T")

_DEFAULT_SCRAPE_INTERVAL: Final = "1m"
_TRY_AGAIN: Final = "try again; if it stays so, read Prometheus's log"
_FIXES: Final = {"bad_data": "correct the query", "execution": "correct the query"}
_RELOAD_METRIC: Final = "prometheus_config_last_reload_successful "


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer of a readiness endpoint; `saw` quotes it."""

    ready: bool
    status: int
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The configuration in force, which after a failed reload is an older one than the file. Holds no rule bodies."""

    text: str
    rule_files: tuple[str, ...]
    jobs: tuple[str, ...]
    scrape_interval_s: float
    has_alertmanagers: bool


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


class Prometheus:
    """One Prometheus server. Every method raises UnreachableError, and AnswerError with its `errorType` as code."""

    def __init__(self, settings: PrometheusSettings, timeout_s: float = 10) -> None:
        """Keep the address; nothing is opened."""
        fix = f"check that Prometheus ({settings.container}) runs, and that RUNBOOK_PROMETHEUS_URL is its address"
        self._http = HttpClient("Prometheus", settings.url, timeout_s=timeout_s, fix=fix)

    def ready(self) -> Readiness:
        """Whether it serves. It stays ready after a failed reload: ask `last_reload_successful` for that."""
        answer = self._http.get("/-/ready")
        return Readiness(ready=answer.status == HTTPStatus.OK, status=answer.status, saw=answer.excerpt)

    def config(self) -> LoadedConfig:
        """Return the configuration in force (/api/v1/status/config)."""
        answer = self._http.get("/api/v1/status/config")
        text = _data(answer, _Config).yaml
        try:
            return _loaded_config(text)
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise answer.error(f"Prometheus's loaded configuration cannot be read: {error}") from None

    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return active and dropped targets; none at all for about 5 s after a start."""
        found = _data(self._http.get("/api/v1/targets"), _Targets)
        active = tuple(_active_target(target) for target in found.active_targets)
        return active + tuple(_dropped_target(target) for target in found.dropped_targets)

    def rules(self) -> tuple[RuleGroup, ...]:
        """Return all loaded groups with the state of their rules."""
        found = _data(self._http.get("/api/v1/rules"), _Groups)
        return tuple(_group(group) for group in found.groups)

    def query(self, expr: str, *, at: datetime | None = None) -> tuple[Sample, ...]:
        """Evaluate an instant vector or scalar, now by Prometheus's own clock or `at` a time."""
        answer = self._query(expr, at)
        found = _data(answer, _Result)
        if found.result_type == "scalar":
            point = answer.read_part(found.result, _Point)
            return (Sample(labels={}, at=point.at, value=point.value),)
        vector = answer.read_part(found.result, list[_VectorItem])
        return tuple(
            Sample(labels=item.metric, at=item.value.at, value=item.value.value)
            for item in vector
            if item.value is not None
        )

    def samples(self, selector: str, *, window_s: float, at: datetime | None = None) -> tuple[Series, ...]:
        """Return the raw samples of the last `window_s` seconds, by a range selector.

        Prometheus 3 leaves out a sample exactly at the window's beginning, 2 includes it.
        """
        answer = self._query(f"{selector}[{max(1, round(window_s * 1000))}ms]", at)
        matrix = answer.read_part(_data(answer, _Result).result, list[_MatrixItem])
        return tuple(
            Series(
                labels=item.metric,
                samples=tuple((point.at, point.value) for point in item.values),
            )
            for item in matrix
        )

    def reload(self) -> ReloadAnswer:
        """Ask it to read its files again; 403 and 500 are answers here, not errors."""
        answer = self._http.post("/-/reload")
        return ReloadAnswer(status=answer.status, body=answer.excerpt)

    def last_reload_successful(self) -> bool | None:
        """Whether the last reload succeeded, from its own /metrics page; None where the page does not say."""
        page = self._http.get("/metrics").expected(HTTPStatus.OK).text
        values = [line.removeprefix(_RELOAD_METRIC) for line in page.splitlines() if line.startswith(_RELOAD_METRIC)]
        return float(values[0]) == 1 if values else None

    def alertmanagers(self) -> Alertmanagers:
        """Return where alerts are sent."""
        found = _data(self._http.get("/api/v1/alertmanagers"), _AlertmanagerUrls)
        return Alertmanagers(
            active=tuple(one.url for one in found.active_alertmanagers),
            dropped=tuple(one.url for one in found.dropped_alertmanagers),
        )

    def runtime(self) -> PrometheusRuntime:
        """Return version, start and last successful load of this process."""
        build = _data(self._http.get("/api/v1/status/buildinfo"), _BuildInfo)
        info = _data(self._http.get("/api/v1/status/runtimeinfo"), _RuntimeInfo)
        return PrometheusRuntime(
            version=build.version,
            started_at=info.start_time.astimezone(UTC),
            reload_succeeded=info.reload_config_success,
            config_loaded_at=moment(info.last_config_time),
            working_dir=info.working_dir,
        )

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()

    def _query(self, expr: str, at: datetime | None) -> Answer:
        params = {"query": expr} if at is None else {"query": expr, "time": f"{at.timestamp():.3f}"}
        return self._http.get("/api/v1/query", params)


# What travels: the parts of the API's JSON that are read.


class _Wire(msgspec.Struct, rename="camel"):
    """Members as JSON names them; unknown ones are skipped."""


class _Envelope(_Wire):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = ""
    error: str = ""


class _Config(_Wire):
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


class _Targets(_Wire):
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


class _Groups(_Wire):
    groups: list[_Group]


class _Point(msgspec.Struct, array_like=True):
    epoch_s: float
    written: str

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.epoch_s, UTC)

    @property
    def value(self) -> float:
        return float(self.written)


class _Result(_Wire):
    result_type: str
    result: msgspec.Raw


class _VectorItem(_Wire):
    metric: dict[str, str]
    value: _Point | None = None


class _MatrixItem(_Wire):
    metric: dict[str, str]
    values: list[_Point] = []


class _Url(_Wire):
    url: str


class _AlertmanagerUrls(_Wire):
    active_alertmanagers: list[_Url]
    dropped_alertmanagers: list[_Url]


class _BuildInfo(_Wire):
    version: str


class _RuntimeInfo(_Wire):
    start_time: datetime
    reload_config_success: bool
    last_config_time: datetime
    working_dir: str = msgspec.field(default="", name="CWD")


def _data(answer: Answer, kind: type[T]) -> T:
    """Return the data of an answer; an error can come with any status, 200 included."""
    if not answer.is_json:
        answer.expected(HTTPStatus.OK)
    envelope = answer.read(_Envelope)
    if envelope.status != "success":
        seen = f"Prometheus answered an error: {envelope.error}"
        raise answer.error(seen, code=envelope.error_type, fix=_FIXES.get(envelope.error_type, _TRY_AGAIN))
    return answer.read_part(envelope.data, kind)


def _loaded_config(text: str) -> LoadedConfig:
    config: dict[str, Any] = yaml.safe_load(text)
    interval = (config.get("global") or {}).get("scrape_interval", _DEFAULT_SCRAPE_INTERVAL)
    return LoadedConfig(
        text=text,
        rule_files=tuple(config.get("rule_files") or ()),
        jobs=tuple(job["job_name"] for job in config.get("scrape_configs") or ()),
        scrape_interval_s=duration_s(interval),
        has_alertmanagers=bool((config.get("alerting") or {}).get("alertmanagers")),
    )


def _active_target(target: _ActiveTarget) -> ScrapeTarget:
    return ScrapeTarget(
        job=target.labels.get("job", target.scrape_pool),
        url=target.scrape_url,
        health=target.health,
        last_error=target.last_error,
        last_scrape=moment(target.last_scrape),
        scrape_interval_s=duration_s(target.scrape_interval),
        dropped=False,
    )


def _dropped_target(target: _DroppedTarget) -> ScrapeTarget:
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


def _group(group: _Group) -> RuleGroup:
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
