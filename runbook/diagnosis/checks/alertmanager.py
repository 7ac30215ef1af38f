"""Hop alertmanager: it serves, it is told, and somebody would hear the alert."""

from collections.abc import Mapping

from runbook.diagnosis.answers import WRONG_ANSWER, after, answer_checks, but_answers, not_ready, silent
from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.checks.rules import loaded_rule
from runbook.diagnosis.container_checks import server_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import ALERT
from runbook.systems.alertmanager.client import Alertmanager, Silence


@Fact
def silences(facts: Facts) -> tuple[Silence, ...]:
    """Return the active silences."""
    return facts.ask_alertmanager(Alertmanager.silences)


@but_answers
def _answers(facts: Facts) -> Finding:
    mine = facts.target.alertmanager
    try:
        ready = facts.alertmanager_ready()
    except UnreachableError as error:
        return silent(facts, mine.as_service, error, address=mine.place_of("url"))
    seen = saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}{after(facts, ready.took_s)}")
    return Ok((seen,)) if ready.ready else not_ready(facts, mine.as_service, seen)


def _ready(facts: Facts) -> Evidence:
    """Return that it is spoken to as it should be: by its readiness page, or else by its API, as proxies pass on."""
    mine = facts.target.alertmanager
    try:
        ready = facts.alertmanager_ready()
    except (AnswerError, ProtocolError) as refused:
        try:
            silences(facts)
        except RunbookError:
            raise refused from None
        return saw(f"GET {mine.url}/api/v2/silences", f"answers; {refused.seen}")
    return saw(f"GET {mine.url}/-/ready", f"{ready.status} {ready.saw}")


def _is_told(facts: Facts) -> Finding:
    url = facts.target.prometheus.url
    where = f"GET {url}/api/v1/status/config"
    if facts.config().has_alertmanagers:
        return Ok((saw(where, "alerting names an Alertmanager"),))
    return broken(saw(where, "alerting names no Alertmanager"), url=url)


def _is_heard(facts: Facts) -> Finding:
    where, labels = f"GET {facts.target.alertmanager.url}/api/v2/silences", _labels(facts)
    active = silences(facts)
    matching = [one for one in active if one.matches(labels)]
    if not matching:
        return Ok((saw(where, f"{len(active)} active, none matches {ALERT}"),))
    every = sorted(matching, key=lambda one: one.ends_at, reverse=True)
    seen = (saw(where, f"silence {one.id} until {_minute(one)} by {one.author}: {one.comment}") for one in every)
    authors = " and ".join(dict.fromkeys(one.author for one in every))
    fix = ", then ".join(inv(f"unsilence --silence {one.id}") for one in every)
    return broken(*seen, until=_minute(every[0]), by=authors, fix=fix)


def _minute(silence: Silence) -> str:
    return f"{silence.ends_at:%Y-%m-%d %H:%M} UTC"


def _labels(facts: Facts) -> Mapping[str, str]:
    """Return the labels that the alert would have; without Prometheus, those that are known anyway."""
    known = {"alertname": ALERT, "job": facts.target.prometheus.job}
    try:
        rule = loaded_rule(facts)
    except RunbookError:
        return known
    return known | dict(rule.labels) if rule else known


CHECKS = (
    *server_checks(
        "alertmanager",
        "Alertmanager",
        lambda facts: facts.target.alertmanager.as_service,
        lambda facts: facts.target.alertmanager.url,
        Facts.alertmanager_ready,
    ),
    Check(
        code="M_DOWN",
        hop="alertmanager",
        claim="Alertmanager answers",
        diagnosis="Alertmanager {state}",
        sign="refused, timed out, its name does not resolve, or not ready by its own words",
        fix="{fix}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("alertmanager"), "alertmanager.PORT_UNPUBLISHED"),
        run=_answers,
    ),
    *answer_checks("alertmanager", _ready, (WRONG_ANSWER,), needs="M_DOWN"),
    Check(
        code="M_DISCONNECTED",
        hop="alertmanager",
        claim="Prometheus knows an Alertmanager",
        diagnosis="Prometheus knows no Alertmanager",
        sign="the loaded configuration names none under alerting",
        fix="name Alertmanager under `alerting:` in prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("prometheus.WRONG_ANSWER",),
        run=_is_told,
    ),
    Check(
        code="M_SILENCED",
        hop="alertmanager",
        claim="No silence matches the alert",
        diagnosis=f"{ALERT} is silenced until {{until}} by {{by}}",
        sign="an active silence matches the labels of the alert",
        fix="{fix}",
        needs=("alertmanager.WRONG_ANSWER",),
        run=_is_heard,
    ),
)
