"""Prometheus: what it has loaded, scrapes, evaluates and stores. Shapes: its HTTP API v1, met with 2.42."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import yaml

from runbook.systems.gotime import moment
from runbook.systems.http import login_client
from runbook.systems.http_answer import EXCERPT_CHARACTERS, Answer, Readiness, readiness, shortened, shown_url
from runbook.systems.prometheus.records import (
    Alertmanagers,
    LoadedConfig,
    PrometheusRuntime,
    ReloadAnswer,
    RuleGroup,
    Sample,
    ScrapeTarget,
    Series,
)
from runbook.systems.prometheus.settings import PrometheusSettings
from runbook.systems.prometheus.wire import (
    AlertmanagerUrls,
    BuildInfo,
    Config,
    Groups,
    MatrixItem,
    Point,
    Result,
    RuntimeInfo,
    Targets,
    VectorItem,
    active_target,
    data_of,
    dropped_target,
    loaded_config,
    rule_group,
)

_RELOAD_METRIC: Final = "prometheus_config_last_reload_successful "


class Prometheus:
    """One Prometheus server. Every method raises UnreachableError, and AnswerError with its `errorType` as code."""

    def __init__(self, settings: PrometheusSettings, timeout_s: float = 10) -> None:
        """Keep the address; nothing is opened."""
        self._http = login_client("Prometheus", settings, timeout_s)

    def ready(self) -> Readiness:
        """Whether it serves. It stays ready after a failed reload: ask `last_reload_successful` for that."""
        return readiness(self._http.get("/-/ready"))

    def leads_to(self) -> str:
        """Return where its address leads, such as /prometheus where it has that prefix; empty if nowhere."""
        target = shown_url(self._http.get("/").headers.get("Location", ""))
        return shortened(target, EXCERPT_CHARACTERS)

    def config(self) -> LoadedConfig:
        """Return the configuration in force (/api/v1/status/config)."""
        answer = self._http.get("/api/v1/status/config")
        text = data_of(answer, Config).yaml
        with answer.reading(yaml.YAMLError, AttributeError, KeyError, TypeError):
            return loaded_config(text)

    def targets(self) -> tuple[ScrapeTarget, ...]:
        """Return active and dropped targets; none at all for about 5 s after a start."""
        answer = self._http.get("/api/v1/targets")
        found = data_of(answer, Targets)
        with answer.reading():
            active = tuple(active_target(target) for target in found.active_targets)
            return active + tuple(dropped_target(target) for target in found.dropped_targets)

    def rules(self) -> tuple[RuleGroup, ...]:
        """Return all loaded groups with the state of their rules."""
        answer = self._http.get("/api/v1/rules")
        found = data_of(answer, Groups)
        with answer.reading():
            return tuple(rule_group(group) for group in found.groups)

    def query(self, expr: str, *, at: datetime | None = None) -> tuple[Sample, ...]:
        """Evaluate an instant vector or scalar, now by Prometheus's own clock or `at` a time."""
        answer = self._query(expr, at)
        found = data_of(answer, Result)
        if found.result_type == "scalar":
            point = answer.read_part(found.result, Point)
            with answer.reading():
                return (Sample(labels={}, at=point.at, value=point.value),)
        vector = answer.read_part(found.result, list[VectorItem])
        with answer.reading():
            return tuple(
                Sample(labels=item.metric, at=item.value.at, value=item.value.value)
                for item in vector
                if item.value is not None
            )

    def normal_form(self, expr: str) -> str | None:
        """Return an expression as Prometheus itself writes it, broken over lines if it is long; None before 2.39."""
        answer = self._http.get("/api/v1/format_query", {"query": expr})
        return None if answer.status == HTTPStatus.NOT_FOUND else data_of(answer, str)

    def samples(self, selector: str, *, window_s: float, at: datetime | None = None) -> tuple[Series, ...]:
        """Return the raw samples of the last `window_s` seconds, by a range selector.

        Prometheus 3 leaves out a sample exactly at the window's beginning, 2 includes it.
        """
        return _series(self._query(f"{selector}[{max(1, round(window_s * 1000))}ms]", at))

    def range(self, expr: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        """Evaluate an expression at every step from start to end, as a panel does."""
        params = {
            "query": expr,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step_s:g}",
        }
        return _series(self._http.get("/api/v1/query_range", params))

    def reload(self) -> ReloadAnswer:
        """Ask it to read its files again; 403 and 500 are answers here, not errors."""
        answer = self._http.post("/-/reload")
        return ReloadAnswer(status=answer.status, body=answer.excerpt)

    def last_reload_successful(self) -> bool | None:
        """Whether the last reload succeeded, from its own /metrics page; None where the page does not say."""
        answer = self._http.get("/metrics").expected(HTTPStatus.OK)
        lines = answer.text.splitlines()
        values = [line.removeprefix(_RELOAD_METRIC) for line in lines if line.startswith(_RELOAD_METRIC)]
        with answer.reading():
            return float(values[0]) == 1 if values else None

    def alertmanagers(self) -> Alertmanagers:
        """Return where alerts are sent."""
        found = data_of(self._http.get("/api/v1/alertmanagers"), AlertmanagerUrls)
        return Alertmanagers(
            active=tuple(one.url for one in found.active_alertmanagers),
            dropped=tuple(one.url for one in found.dropped_alertmanagers),
        )

    def runtime(self) -> PrometheusRuntime:
        """Return version, start and last successful load of this process."""
        build = data_of(self._http.get("/api/v1/status/buildinfo"), BuildInfo)
        answer = self._http.get("/api/v1/status/runtimeinfo")
        info = data_of(answer, RuntimeInfo)
        with answer.reading():
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


def _series(answer: Answer) -> tuple[Series, ...]:
    matrix = answer.read_part(data_of(answer, Result).result, list[MatrixItem])
    with answer.reading():
        return tuple(
            Series(labels=item.metric, samples=tuple((point.at, point.value) for point in item.values))
            for item in matrix
        )
