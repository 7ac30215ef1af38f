"""Grafana's endpoints, with the bodies that version 11.2 answers."""

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbook.local_stack.fakes.grafana import prometheus
from runbook.local_stack.fakes.grafana.configuration import ConfigurationError, DataSource, data_sources
from runbook.local_stack.fakes.grafana.dashboards import Dashboards
from runbook.local_stack.fakes.grafana.page import dashboard_page
from runbook.local_stack.fakes.grafana.provisioning import Provisioner
from runbook.local_stack.fakes.grafana.users import QUERY, READ_DASHBOARDS, READ_SOURCES, RELOAD, Doors, User
from runbook.local_stack.fakes.serving import App, Request, Response, Route, json_response, routed

VERSION = "11.2.0"
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DEFAULT_POINTS = 100
_DEFAULT_INTERVAL_MS = 1000
_MULTIPLES_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 21600, 86400)


class BadQueryError(Exception):
    """A query that cannot be carried out; status and text are the answer's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = _message(status, text)


class Api:
    """All endpoints; everything but the health needs a login, and the permission that Grafana asks for."""

    def __init__(
        self, provisioning: Path, dashboards: Dashboards, provisioner: Provisioner, users: tuple[User, ...]
    ) -> None:
        """Read the data sources at once, as Grafana does before it listens; raises ConfigurationError."""
        self._provisioning = provisioning
        self._dashboards = dashboards
        self._provisioner = provisioner
        self._doors = Doors(users)
        self._sources = data_sources(provisioning)

    def app(self) -> App:
        """Return the routes."""
        needing = self._doors.needing
        source = needing(READ_SOURCES, self._data_source)
        page = needing(READ_DASHBOARDS, self._page)
        closed = self._doors.open_to_users(
            routed(
                (
                    Route("GET", "/api/dashboards/uid/{uid}", needing(READ_DASHBOARDS, self._dashboard)),
                    Route("GET", "/api/datasources", needing(READ_SOURCES, self._data_sources)),
                    Route("GET", "/api/datasources/uid/{uid}", source),
                    Route("GET", "/api/datasources/name/{name}", source),
                    Route("GET", "/api/datasources/uid/{uid}/health", needing(QUERY, self._data_source_health)),
                    Route("POST", "/api/ds/query", needing(QUERY, self._query)),
                    Route(
                        "POST", "/api/admin/provisioning/dashboards/reload", needing(RELOAD, self._reload_dashboards)
                    ),
                    Route(
                        "POST", "/api/admin/provisioning/datasources/reload", needing(RELOAD, self._reload_data_sources)
                    ),
                    Route("GET", "/d/{uid}", page),
                    Route("GET", "/d/{uid}/{slug}", page),
                ),
                not_found={"message": "Not found"},
            )
        )
        health = {"commit": "stand-in", "database": "ok", "version": VERSION}

        def app(request: Request) -> Response:
            return json_response(200, health) if request.path == "/api/health" else closed(request)

        return app

    def _dashboard(self, request: Request) -> Response:
        dashboard = self._dashboards.get(request.variables["uid"])
        if dashboard is None:
            return _message(404, "Dashboard not found")
        return json_response(200, dashboard.document())

    def _page(self, request: Request) -> Response:
        dashboard = self._dashboards.get(request.variables["uid"])
        if dashboard is None:
            return _message(404, "Dashboard not found")
        source = next((source for source in self._sources if source.is_default), None)
        return dashboard_page(dashboard, source)

    def _data_sources(self, _: Request) -> Response:
        return json_response(200, [source.document() for source in self._sources])

    def _data_source(self, request: Request) -> Response:
        source = self._source(request.variables)
        return _message(404, "Data source not found") if source is None else json_response(200, source.document())

    def _data_source_health(self, request: Request) -> Response:
        source = self._source(request.variables)
        if source is None:
            return _message(404, "Data source not found")
        try:
            prometheus.ask(source.url, "query", {"query": "1+1", "time": f"{time.time():.3f}"})
        except prometheus.PrometheusError as error:
            text = f"{error} - There was an error returned querying the Prometheus API."
            return json_response(400, {"message": text, "status": "ERROR"})
        return json_response(200, {"message": "Successfully queried the Prometheus API.", "status": "OK"})

    def _source(self, wanted: Mapping[str, str]) -> DataSource | None:
        """Return the data source that has the uid or the name which the path gives."""
        for source in self._sources:
            if wanted.get("uid") == source.uid or wanted.get("name") == source.name:
                return source
        return None

    def _query(self, request: Request) -> Response:
        try:
            planned = self._planned(request.body)
        except BadQueryError as error:
            return error.response
        results = {query.ref_id: _result(source, query) for source, query in planned}
        failed = any("error" in result for result in results.values())
        return json_response(400 if failed else 200, {"results": results})

    def _planned(self, body: bytes) -> list[tuple[DataSource, prometheus.Query]]:
        """Return each query of the body with its data source. Raises BadQueryError."""
        try:
            document = json.loads(body)
            entries = document["queries"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadQueryError(400, "bad request data") from error
        if not entries:
            raise BadQueryError(400, "No queries found in query")
        now_s = time.time()
        start_s, end_s = (_time(document.get(name, "now"), now_s) for name in ("from", "to"))
        return [self._planned_query(entry, start_s, end_s) for entry in entries]

    def _planned_query(
        self, entry: Mapping[str, Any], start_s: float, end_s: float
    ) -> tuple[DataSource, prometheus.Query]:
        reference = entry.get("datasource")
        if not isinstance(reference, dict) or not reference.get("uid"):
            raise BadQueryError(400, "Query does not contain a valid data source identifier")
        source = self._source({"uid": reference["uid"]})
        if source is None:
            raise BadQueryError(404, "Data source not found")
        instant = bool(entry.get("instant", False))
        query = prometheus.Query(
            ref_id=str(entry.get("refId", "A")),
            expr=str(entry.get("expr", "")),
            legend=str(entry.get("legendFormat") or ""),
            instant=instant,
            range_too=bool(entry.get("range", not instant)) or not instant,
            start_s=start_s,
            end_s=end_s,
            step_s=_step_s(entry, source, end_s - start_s),
        )
        return source, query

    def _reload_dashboards(self, _: Request) -> Response:
        return _reloaded(self._provisioner.reload, "Dashboards config reloaded")

    def _reload_data_sources(self, _: Request) -> Response:
        def reload() -> None:
            self._sources = data_sources(self._provisioning)

        return _reloaded(reload, "Datasources config reloaded")


def _result(source: DataSource, query: prometheus.Query) -> dict[str, Any]:
    try:
        return {"status": 200, "frames": prometheus.frames(source.url, query)}
    except prometheus.PrometheusError as error:
        return {"error": str(error), "errorSource": "downstream", "status": error.status}


def _time(value: object, now_s: float) -> float:
    """Return epoch seconds from epoch milliseconds (number or text), `now`, or `now-5m`."""
    text = str(value)
    if text.isdecimal():
        return int(text) / 1000
    relative = re.fullmatch(r"now(?:-(\d+)([smhdw]))?", text)
    if relative is None:
        raise BadQueryError(400, f"invalid time {text!r}")
    amount, unit = relative.groups()
    return now_s - (int(amount) * _UNIT_S[unit] if amount else 0)


def _step_s(entry: Mapping[str, Any], source: DataSource, range_s: float) -> float:
    """Return the step: the range over the points, rounded up to a handy number, but not below the intervals."""
    points = int(entry.get("maxDataPoints") or _DEFAULT_POINTS)
    least_s = int(entry.get("intervalMs") or _DEFAULT_INTERVAL_MS) / 1000
    scrape = re.fullmatch(r"(\d+)([smhdw])", str(source.json_data.get("timeInterval", "")))
    if scrape is not None:
        least_s = max(least_s, int(scrape[1]) * _UNIT_S[scrape[2]])
    wanted_s = max(range_s / points, least_s)
    return float(next((step for step in _MULTIPLES_S if step >= wanted_s), _MULTIPLES_S[-1]))


def _reloaded(reload: Callable[[], None], text: str) -> Response:
    try:
        reload()
    except ConfigurationError as error:
        return _message(500, str(error))
    return _message(200, text)


def _message(status: int, text: str) -> Response:
    return json_response(status, {"message": text})
