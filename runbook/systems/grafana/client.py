"""Grafana: the dashboard as served, its datasources, and queries as a panel makes them. Shapes: its HTTP API, 11.2."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec

from runbook.errors import AnswerError
from runbook.invocation import inv
from runbook.platforms import utc
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.http import login_client
from runbook.systems.http_answer import Answer

_MAX_DATA_POINTS: Final = 1000
_INTERVAL_MS: Final = 1000
_PERMISSIONS: Final = re.compile(r"Permissions needed: ([a-z.]+:[a-z]+)")
_LIST_SOURCES: Final = "datasources:read"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrafanaHealth:
    """The answer of /api/health, after `took_s` seconds. It speaks of Grafana's own database only."""

    ok: bool
    version: str
    status: int
    took_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedDashboard:
    """A dashboard as the API serves it; `provisioned_file` is the file it came from, "" when saved by hand.

    `templating` holds its variables, as they are written in it.
    """

    uid: str
    title: str
    version: int
    panels: tuple[dict[str, Any], ...]
    provisioned_file: str
    url: str
    templating: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasource:
    """One datasource; `url` is the address as Grafana's own host sees it."""

    uid: str
    name: str
    type: str
    url: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasourceHealth:
    """Whether Grafana reaches the system behind a datasource, and what it says."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One column of numbers that a query answered, with its times. None is no value, NaN or an infinity.

    `step` is the time between two points at which Grafana has asked (a member `interval` of the column of times).
    """

    ref_id: str
    name: str
    labels: Mapping[str, str]
    times: tuple[datetime, ...]
    values: tuple[float | None, ...]
    step: timedelta | None = None


class Grafana:
    """One Grafana. Every method raises UnreachableError, and AnswerError: code "unauthorized" for a refused login."""

    def __init__(self, settings: GrafanaSettings, timeout_s: float = 10) -> None:
        """Keep the address and who we are there; nothing is opened."""
        self._settings = settings
        self._http = login_client("Grafana", settings, timeout_s)

    def health(self) -> GrafanaHealth:
        """Return its health; a 503 is an answer, not an error."""
        answer = self._http.get("/api/health")
        if answer.status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE} or not answer.is_json:
            answer.expected(HTTPStatus.OK)
        found = answer.read(_Health)
        ok = answer.status == HTTPStatus.OK and found.database == "ok"
        return GrafanaHealth(ok=ok, version=found.version, status=answer.status, took_s=answer.took_s)

    def dashboard(self, uid: str) -> ServedDashboard | None:
        """Return the served dashboard; None when Grafana has none of that uid."""
        answer = self._http.get(f"/api/dashboards/uid/{uid}")
        if answer.status == HTTPStatus.NOT_FOUND and answer.is_json:
            return None
        found = self._accepted(answer).read(_Dashboard)
        return ServedDashboard(
            uid=found.dashboard.uid,
            title=found.dashboard.title,
            version=found.dashboard.version,
            panels=tuple(found.dashboard.panels),
            provisioned_file=found.meta.provisioned_external_id,
            url=found.meta.url,
            templating=found.dashboard.templating,
        )

    def datasources(self) -> tuple[Datasource, ...]:
        """Return all datasources."""
        found = self._accepted(self._http.get("/api/datasources")).read(list[_Datasource])
        return tuple(
            Datasource(uid=one.uid, name=one.name, type=one.type, url=one.url, is_default=one.is_default)
            for one in found
        )

    def datasource_health(self, uid: str) -> DatasourceHealth:
        """Let Grafana try a datasource; AnswerError with code "not_found" when it has none of that uid."""
        answer = self._http.get(f"/api/datasources/uid/{uid}/health")
        if answer.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR} or not answer.is_json:
            self._accepted(answer)
        found = answer.read(_Message)
        return DatasourceHealth(ok=found.status == "OK", message=found.message)

    def query(
        self, targets: Sequence[Mapping[str, Any]], *, datasource_uid: str, start: datetime, end: datetime
    ) -> tuple[Frame, ...]:
        """Ask what a panel's targets ask, through Grafana (POST /api/ds/query).

        The answer holds no table columns: those are made by the frontend. Raises AnswerError with what the
        datasource said when one of the targets fails.
        """
        defaults = {"intervalMs": _INTERVAL_MS, "maxDataPoints": _MAX_DATA_POINTS}
        source = {"type": "prometheus", "uid": datasource_uid}
        document = {
            "queries": [{**defaults, **target, "datasource": source} for target in targets],
            "from": _epoch_ms(start),
            "to": _epoch_ms(end),
        }
        answer = self._http.post("/api/ds/query", json=document)
        if not answer.is_json or answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._accepted(answer)
        return _frames(answer)

    def reload_dashboards(self) -> int:
        """Ask it to read its provisioned dashboards again; return the status, 403 without the right to it."""
        return self._http.post("/api/admin/provisioning/dashboards/reload").status

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()

    def _forbidden(self, answer: Answer) -> AnswerError:
        """Name the permission that is missing, where Grafana does: "Permissions needed: datasources:read"."""
        mine = self._settings
        needed = "".join(_PERMISSIONS.findall(answer.text)[:1])
        permission = f"the permission {needed}" if needed else "more rights"
        other = (
            f"{mine.place_of('token')} to one that" if mine.bearer() else f"{mine.place_of('username')} to a user who"
        )
        instead = f", or set {mine.place_of('datasource_uid')}" if needed == _LIST_SOURCES else ""
        return answer.error(
            f"Grafana does not allow this to {mine.who}: 403{needed and f', it takes {needed}'}",
            code="forbidden",
            fix=f"give {mine.who} {permission}, or set {other} has it{instead}",
        )

    def _accepted(self, answer: Answer) -> Answer:
        mine = self._settings
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise answer.error(
                f"Grafana refused the login of {mine.who}: 401",
                code="unauthorized",
                fix=f"set {mine.place_of('token')} to a token that is valid"
                if mine.bearer()
                else f"set {mine.place_of('password')}; the container's own variable counts only on its first start",
            )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise self._forbidden(answer)
        if answer.status == HTTPStatus.NOT_FOUND and answer.is_json:
            raise answer.error(
                f"Grafana has no such datasource or dashboard: {answer.excerpt}",
                code="not_found",
                fix=f"leave {mine.place_of('datasource_uid')} unset, or correct it",
            )
        return answer.expected(HTTPStatus.OK)


# What travels: the parts of the API's JSON that are read.


class _Wire(msgspec.Struct, rename="camel"):
    """Members as JSON names them; unknown ones are skipped."""


class _Health(_Wire):
    database: str
    version: str = ""


class _Meta(_Wire):
    provisioned_external_id: str = ""
    url: str = ""


class _Body(_Wire):
    uid: str
    title: str
    version: int = 0
    panels: list[dict[str, Any]] = []
    templating: Any = None


class _Dashboard(_Wire):
    dashboard: _Body
    meta: _Meta


class _Datasource(_Wire):
    uid: str
    name: str
    type: str
    url: str = ""
    is_default: bool = False


class _Message(_Wire):
    message: str = ""
    status: str = ""


class _FieldConfig(_Wire):
    display_name: str = msgspec.field(default="", name="displayNameFromDS")
    interval: float = 0  # milliseconds


class _Field(_Wire):
    name: str
    type: str = ""
    labels: dict[str, str | None] | None = None
    config: _FieldConfig | None = None


class _Schema(_Wire):
    ref_id: str = ""
    name: str = ""
    fields: list[_Field] = []


class _Columns(_Wire):
    values: list[list[Any]] = []


class _Frame(_Wire):
    schema: _Schema
    data: _Columns


class _Result(_Wire):
    frames: list[_Frame] | None = None
    error: str = ""
    status: int = 200


class _Results(_Wire):
    results: dict[str, _Result] | None = None
    message: str = ""


def _frames(answer: Answer) -> tuple[Frame, ...]:
    found = answer.read(_Results)
    results = found.results or {}
    for ref_id, result in results.items():
        if result.error:
            raise answer.error(
                f"The query {ref_id} failed: {answer.quoted(result.error)}",
                code="query_failed",
                fix=inv("troubleshoot --hop grafana"),
            )
    if answer.status != HTTPStatus.OK:
        seen = f"Grafana refused the query with {answer.status}: {answer.quoted(found.message)}"
        raise answer.error(seen, code="query_failed", fix=inv("troubleshoot --hop grafana"))
    if found.results is None:
        raise answer.error(f"Grafana answered a query without results: {answer.excerpt}")
    with answer.reading(TypeError):
        return tuple(
            column
            for ref_id, result in results.items()
            for frame in result.frames or ()
            for column in _numbers(ref_id, frame)
        )


def _numbers(ref_id: str, frame: _Frame) -> list[Frame]:
    columns = list(zip(frame.schema.fields, frame.data.values, strict=False))
    times = next((tuple(_moment(ms) for ms in values) for kind, values in columns if kind.type == "time"), ())
    steps = (kind.config.interval for kind, _ in columns if kind.type == "time" and kind.config)
    step = next((timedelta(milliseconds=ms) for ms in steps if ms > 0), None)
    return [
        Frame(
            ref_id=ref_id,
            name=(kind.config and kind.config.display_name) or frame.schema.name or kind.name,
            labels={name: value for name, value in (kind.labels or {}).items() if value is not None},
            times=times,
            values=tuple(map(_number, values)),
            step=step,
        )
        for kind, values in columns
        if kind.type == "number"
    ]


def _number(value: float | None) -> float | None:
    if isinstance(value, bool):
        raise TypeError("true or false among the values of a column of numbers")
    return None if value is None else float(value)


def _epoch_ms(at: datetime) -> str:
    return str(round(at.timestamp() * 1000))


def _moment(epoch_ms: float | None) -> datetime:
    number = _number(epoch_ms)
    if number is None:
        raise TypeError("a time is missing")
    return utc(number / 1000)
