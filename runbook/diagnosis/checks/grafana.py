"""Hop grafana: it serves, lets us in, and shows the dashboard that the file holds."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from runbook.diagnosis.answers import WRONG_ANSWER, Told, after, answer_checks, but_answers, not_ready, silent
from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.files import dashboard_file, our_panels, panel_ids
from runbook.diagnosis.reach import network_check, network_finding
from runbook.diagnosis.same_queries import with_wanted_queries
from runbook.errors import FOREIGN, AnswerError, DocumentError, UnreachableError
from runbook.files.compare import datasource_among
from runbook.files.desired import wanted_panels
from runbook.files.our_panels import lacking
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.grafana.client import Datasource, DatasourceHealth, Grafana, ServedDashboard
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened
from runbook.systems.runtime import Service

NO_DATASOURCE: Final = "no_datasource"
_QUERY: Final = "targets[0].expr"
_NEW_PANELS: Final = frozenset({20, 21})


@Fact
def dashboard(facts: Facts) -> ServedDashboard | None:
    """Return the dashboard as served; None when there is none of that uid."""
    return _served(facts)


@Fact
def served_panels(facts: Facts) -> frozenset[int]:
    """Return which of the runbook's panels are served, after Grafana had time to read its files."""

    def look() -> tuple[frozenset[int], bool]:
        served = _served(facts)
        ids = our_panels(served.panels if served else ())
        return ids, ids >= _NEW_PANELS

    return facts.until(look)


@Fact
def lacking_fields(facts: Facts) -> Mapping[int, tuple[str, ...]]:
    """Return, by panel, the fields in which it is served otherwise than the success criteria need it."""
    served = _served(facts)
    source = datasource_among(datasource(facts), _sources(facts)).by_variables(served.templating if served else None)
    wanted = wanted_panels(source)
    return lacking(with_wanted_queries(facts, served.panels if served else (), wanted.panels), wanted)


@Fact
def datasource(facts: Facts) -> Datasource:
    """Return the datasource that the panels query; AnswerError NO_DATASOURCE: none has that name or uid.

    A user who may not list them can do with the uid of the settings; where it leads is then not known.
    """
    mine = facts.target.grafana
    sources = _sources(facts)
    for one in sources:
        if one.uid == mine.datasource_uid or (not mine.datasource_uid and one.name == mine.datasource):
            return one
    raise AnswerError(
        f"Grafana has these datasources: {', '.join(sorted(one.name for one in sources)) or 'none'}",
        where=f"GET {mine.url}/api/datasources",
        fix=inv("troubleshoot"),
        status=HTTPStatus.OK,
        code=NO_DATASOURCE,
    )


@Fact
def datasource_health(facts: Facts) -> DatasourceHealth:
    """Let Grafana try that datasource."""
    return _health_of(facts, datasource(facts).uid)


def _sources(facts: Facts) -> tuple[Datasource, ...]:
    try:
        return facts.ask_grafana(Grafana.datasources)
    except AnswerError as error:
        uid = facts.target.grafana.datasource_uid
        if error.code != "forbidden" or not uid:
            raise
        return (_of_that_uid(facts, uid),)


def _health_of(facts: Facts, uid: str) -> DatasourceHealth:
    return facts.ask_grafana(lambda grafana: grafana.datasource_health(uid))


def _of_that_uid(facts: Facts, uid: str) -> Datasource:
    try:
        _health_of(facts, uid)
    except AnswerError as error:
        if error.code != "not_found":
            raise
        fix = inv("troubleshoot")
        raise AnswerError(error.seen, where=error.where, fix=fix, status=error.status, code=NO_DATASOURCE) from None
    return Datasource(uid=uid, name=facts.target.grafana.datasource, type="", url="", is_default=False)


@but_answers
def _answers(facts: Facts) -> Finding:
    try:
        health = facts.grafana_health()
    except UnreachableError as error:
        return silent(facts, _grafana(facts), error, address=facts.target.grafana.place_of("url"))
    said = f"{health.status}, version {health.version}{after(facts, health.took_s)}"
    seen = saw(f"GET {facts.target.grafana.url}/api/health", said)
    return Ok((seen,)) if health.ok else not_ready(facts, _grafana(facts), seen)


def _lets_in(facts: Facts) -> Evidence:
    facts.grafana_health()
    dashboard(facts)
    return saw(_where(facts), "accepted")


def _has_the_datasource(facts: Facts) -> Finding:
    mine = facts.target.grafana
    try:
        source = datasource(facts)
    except AnswerError as error:
        if error.code != NO_DATASOURCE:
            raise
        name = mine.datasource_uid or mine.datasource
        return broken(saw(error.where, error.seen), name=name, setting=facts.places)
    if not source.url:
        return Ok((_datasource_seen(facts),))
    return Ok((saw(f"GET {mine.url}/api/datasources", f"{source.name}, uid {source.uid}"),))


def _shares_a_network(facts: Facts) -> Finding:
    source, health, seen = datasource(facts), datasource_health(facts), _datasource_seen(facts)
    if health.ok:
        return Ok((seen,))
    if not source.url:
        mine = facts.target.grafana
        why = f"{seen.saw}; {mine.who} may not see the address of the datasource"
        return NotChecked(why, where=seen.source, fix=f"give {mine.who} the permission datasources:read in Grafana")
    peer = facts.target.prometheus.as_service
    return network_finding(facts, _grafana(facts), peer, url=source.url, error=health.message, complaint=seen)


def _reaches_prometheus(facts: Facts) -> Finding:
    seen = _datasource_seen(facts)
    return Ok((seen,)) if datasource_health(facts).ok else broken(seen, url=datasource(facts).url)


def _serves_the_file(facts: Facts) -> Finding:
    file = dashboard_file(facts)
    try:
        in_file = panel_ids(file)
    except DocumentError as error:
        return NotChecked(f"this is no dashboard that Grafana loads: {error.seen}", where=file.where, fix=error.fix)
    except FOREIGN as error:
        return NotChecked(f"this is no dashboard: {error}", where=file.where, fix=inv("rollback"))
    if not in_file >= _NEW_PANELS:
        why = "no panels 20 and 21 in it: setup has not been applied"
        return NotChecked(why, where=file.where, fix=inv("setup"))
    served = served_panels(facts)
    if served >= _NEW_PANELS:
        return Ok((saw(_where(facts), "panels 20 and 21 are served"),))
    missing = ", ".join(map(str, sorted(_NEW_PANELS - served)))
    seen = saw(_where(facts), f"the dashboard is served without {missing}, or not at all")
    return broken(saw(file.where, "holds panels 20 and 21"), seen, start=facts.start_command(_grafana(facts)))


def _shows_what_is_needed(facts: Facts) -> Finding:
    lacks = lacking_fields(facts)
    if not lacks:
        return Ok((saw(_where(facts), "panels 20 and 21 have what the success criteria need"),))
    said = "; ".join(f"panel {number}: {', '.join(fields)}" for number, fields in sorted(lacks.items()))
    fix = f"{inv('setup')}: it repairs these fields and keeps what else was changed"
    if _QUERY in said:  # setup does not take a panel with another query for ours
        fix = f"{inv('setup --renumber')}: ours gets an id of its own beside the panel with another query"
    if "datasource" in said:
        fix += f"; or set {facts.target.grafana.place_of('datasource_uid')} if that datasource is meant"
    return broken(saw(_where(facts), said), fields=said, fix=fix)


def _served(facts: Facts) -> ServedDashboard | None:
    return facts.ask_grafana(lambda grafana: grafana.dashboard(facts.target.grafana.dashboard_uid))


def _datasource_seen(facts: Facts) -> Evidence:
    source, health = datasource(facts), datasource_health(facts)
    where = f"GET {facts.target.grafana.url}/api/datasources/uid/{source.uid}/health"
    address = f" at {source.url}" if source.url else ""
    return saw(where, f"{source.name}{address}: {shortened(health.message, EXCERPT_CHARACTERS)}")


def _where(facts: Facts) -> str:
    return f"GET {facts.target.grafana.url}/api/dashboards/uid/{facts.target.grafana.dashboard_uid}"


def _grafana(facts: Facts) -> Service:
    return facts.target.grafana.as_service


_ANSWERS: Final = (
    Told(
        code="F_AUTH",
        met=frozenset({"unauthorized"}),
        claim="Grafana accepts the user",
        diagnosis="Grafana does not accept the login of {who}",
        sign="401 on the dashboard",
        fix="set {setting:grafana.password_file}, or {setting:grafana.token_file} where a token is used",
    ),
    Told(
        code="F_FORBIDDEN",
        met=frozenset({"forbidden"}),
        claim="Grafana shows the user the dashboard",
        diagnosis="Grafana does not show {who} the dashboard, its folder or its organisation",
        sign="403 on the dashboard",
    ),
    WRONG_ANSWER,
)

CHECKS = (
    *server_checks("grafana", "Grafana", _grafana, lambda facts: facts.target.grafana.url, Facts.grafana_health),
    Check(
        code="F_DOWN",
        hop="grafana",
        claim="Grafana answers",
        diagnosis="Grafana {state}",
        sign="refused, timed out, its name does not resolve, or its health is not ok by its own words",
        fix="{fix}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("grafana"), "grafana.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    *answer_checks("grafana", _lets_in, _ANSWERS, needs="F_DOWN"),
    Check(
        code="F_DS_MISSING",
        hop="grafana",
        claim="Grafana has the datasource",
        diagnosis="Grafana has no datasource {name}",
        sign="no datasource has the name or uid of the settings",
        fix="provision it, or set {setting:grafana.datasource} to the name of the one that leads to Prometheus",
        needs=("grafana.WRONG_ANSWER",),
        run=_has_the_datasource,
    ),
    network_check(
        "grafana",
        "The networks let Grafana reach Prometheus",
        _shares_a_network,
        "F_DS_MISSING",
        "prometheus.WRONG_ANSWER",
    ),
    Check(
        code="F_DS_URL",
        hop="grafana",
        claim="Grafana reaches Prometheus",
        diagnosis="Grafana cannot reach Prometheus at {url}",
        sign="the datasource's own health fails, and the two share a network",
        fix="put the address that Grafana's own host or container has for Prometheus into the datasource",
        needs=("grafana.WRONG_NETWORK",),
        run=_reaches_prometheus,
    ),
    Check(
        code="F_NOT_PROVISIONED",
        hop="grafana",
        claim="Grafana serves panels 20 and 21",
        diagnosis="Grafana serves an old dashboard: panels 20 and 21 are in the file, but not in what Grafana serves",
        sign="the file holds both panels, and the dashboard's API does not",
        fix="correct the path of the dashboard provider, then {start}",
        needs=("grafana.WRONG_ANSWER",),
        run=_serves_the_file,
    ),
    Check(
        code="F_DRIFT",
        hop="grafana",
        claim="Panels 20 and 21 have what the success criteria need",
        diagnosis="A panel was changed so that it cannot show what it is for: {fields}",
        sign="a field that the success criteria need is served with another value; other changes are nobody's fault",
        fix="{fix}",
        needs=("F_NOT_PROVISIONED", "F_DS_MISSING"),
        run=_shows_what_is_needed,
    ),
)
