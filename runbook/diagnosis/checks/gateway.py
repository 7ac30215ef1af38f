"""Hop gateway: the way of a request from the edge proxy to the gateway.

Asked with a job for a lead that cannot exist: the answer comes from ApexFlow and its database, and nothing is made.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from runbook.diagnosis.answers import WRONG_ANSWER, after, but_answers, is_known_to_run, met_by, silent
from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.container_checks import container_checks, stops
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import UPSTREAM, is_here, networks_apart
from runbook.diagnosis.service_state import down
from runbook.errors import ProtocolError, RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.runs.run_history import NewestRun, holds, newest_run
from runbook.runs.run_log import TRAFFIC, RunEvent
from runbook.systems.gateway.client import ProbeAnswer

_ITS_LOG: Final = "read the logs of the edge proxy and of the gateway: which rule refuses this host, or what fails"
_FIXES: Final = {
    "unauthorized": "{log}: its last lines say what is wrong with the token",
    "forbidden": "give {user} in Keycloak the role or tenant that the gateway asks for; {log} may name it",
    "tenant_required": "see from which claim {gateway} reads the tenant: the token has tenant_id",
}
_NO_TOKEN: Final = "none"  # noqa: S105 - an invalid one, on purpose
_TOKEN_REFUSALS: Final = frozenset({"unauthorized", "forbidden", "audience", "keys", "tenant_required"})
"""What the gateway says of a token, besides its issuer and its times."""
_ELSEWHERE: Final = frozenset({"page", "redirect"})
_LIMITED: Final = frozenset({"limited"})
_OF_A_PROXY: Final = frozenset({"no_route", "proxy_login"}) | _ELSEWHERE | _LIMITED


@Fact
def unauthenticated_answer(facts: Facts) -> ProbeAnswer:
    """Ask the gateway without a token: any answer proves that it, or the edge proxy before it, runs."""
    return facts.ask_gateway(_NO_TOKEN)


@Fact
def probe(facts: Facts) -> ProbeAnswer:
    """Ask the gateway with a token for what cannot exist: the answer proves the whole way to ApexFlow."""
    return facts.ask_gateway(facts.token().value)


@Fact
def last_traffic(facts: Facts) -> tuple[str, tuple[RunEvent, ...]] | None:
    """Return run id and events of the last traffic on this target; None when there was none."""
    found = newest_traffic(facts)
    return (found.run_log.run_id, found.events) if found.run_log else None


@Fact
def newest_traffic(facts: Facts) -> NewestRun:
    """Return the last traffic on this target, and the damaged runs that were passed over to find it."""
    return newest_run(facts.state_dir, holds(TRAFFIC), target=facts.target.name)


@but_answers
def _answers(facts: Facts) -> Finding:
    mine = facts.target.gateway
    try:
        answer = unauthenticated_answer(facts)
    except UnreachableError as error:
        return silent(facts, mine.as_service, error, address=mine.place_of("url"))
    seen = probe_seen(facts, answer)
    if _is_answered_for(facts, answer):
        return _lost(facts, seen)
    return Ok((seen,))


def _lost(facts: Facts, seen: Evidence) -> Finding:
    """A start changes nothing where the edge proxy and the gateway share no network."""
    mine = facts.target.gateway
    found, apart = down(facts, mine.as_service, seen), networks_apart(facts, mine.proxy, mine.as_service)
    evidence, fix = (apart.evidence, apart.fix) if apart else ((), found.fields["start"])
    return broken(*found.evidence, *evidence, state="does not answer the edge proxy", fix=fix)


def _heard(facts: Facts) -> Evidence:
    """Return that the gateway answered. The edge proxy answers in its place where it is not there."""
    answer = unauthenticated_answer(facts)
    seen = probe_seen(facts, answer)
    if answer.status in UPSTREAM or answer.code in _OF_A_PROXY:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _is_answered_for(facts: Facts, answer: ProbeAnswer) -> bool:
    """Say whether the edge proxy answers for a gateway that does not, by 502 in its own words while ApexFlow runs.

    A gateway refuses a request without a token by itself, whether ApexFlow runs or not.
    """
    is_upstream = answer.status in UPSTREAM and not answer.is_json
    return is_upstream and is_known_to_run(facts, facts.target.apexflow.as_service)


@but_answers
def _routes(facts: Facts) -> Finding:
    answer = unauthenticated_answer(facts)
    seen = probe_seen(facts, answer)
    if answer.is_proxy_404:
        return broken(seen, host=facts.target.gateway.host, setting=facts.places)
    return Ok((seen,))


def _is_of_the_gateway(facts: Facts) -> Finding:
    """Tell refusals of the edge proxy: the gateway itself asks for a bearer token, by 401 or in JSON."""
    try:
        answer = unauthenticated_answer(facts)
    except ProtocolError as error:
        met_by(error)
        return broken(saw(error.where, error.seen), seen=error.seen, fix=error.fix)
    seen = probe_seen(facts, answer)
    if answer.code == "proxy_login":
        return broken(seen, seen=f"{answer.words}: {answer.saw}", fix=answer.fix)
    if answer.code in {"forbidden", "server_error"} and not answer.is_json:
        return broken(
            seen, seen=f"The edge proxy or the gateway refuses this host, or fails: {answer.saw}", fix=_ITS_LOG
        )
    return Ok((seen,))


def _is_none_of(codes: frozenset[str]) -> Callable[[Facts], Finding]:
    """Return the look whether the answer is none of these, without a token and with one."""

    def look(facts: Facts) -> Finding:
        answers = [unauthenticated_answer(facts)]
        with suppress(RunbookError):  # told by the checks that need a token
            answers.append(probe(facts))
        for answer in answers:
            if answer.code in codes:
                return broken(probe_seen(facts, answer), fix=answer.fix)
        return Ok(tuple(probe_seen(facts, answer) for answer in answers))

    return look


def _lets_in(facts: Facts) -> Finding:
    answer = probe(facts)
    seen = probe_seen(facts, answer)
    if answer.code not in _TOKEN_REFUSALS:
        return Ok((seen,))
    names = {
        "log": facts.log_command(facts.target.gateway.as_service),
        "user": facts.target.keycloak.username,
        "gateway": facts.target.gateway.container,
    }
    fix = _FIXES.get(answer.code, answer.fix).format_map(names)
    return broken(seen, why=answer.saw, fix=fix)


def _makes_new_data(facts: Facts) -> Finding:
    last = last_traffic(facts)
    if last is None:
        return Ok((saw("the runs on this target", "no traffic yet"),))
    run_id, events = last
    for event in events:
        if event.kind == "problem" and event.data.get("code") == "GW_DUPLICATE":
            seen = saw(str(event.data.get("where")), str(event.data.get("seen")))
            return broken(saw(f"run {run_id}", "ended with 409"), seen)
    return Ok((saw(f"run {run_id}", "no 409"),))


def probe_seen(facts: Facts, answer: ProbeAnswer) -> Evidence:
    """Return what a request for a job of a lead that cannot exist was answered."""
    mine = facts.target.gateway
    return saw(
        f"POST {mine.url.rstrip('/')}/jobs, Host {mine.host}, a lead that cannot exist",
        f"{answer.saw}{after(facts, answer.took_s)}",
    )


CHECKS = (
    *container_checks(
        "gateway",
        "The gateway",
        lambda facts: facts.target.gateway.as_service,
        _heard,
        is_here=lambda facts: is_here(facts, facts.target.gateway.url),
    ),
    Check(
        code="GW_DOWN",
        hop="gateway",
        claim="The gateway answers",
        diagnosis="The gateway {state}",
        sign="refused, timed out or not resolved, and neither it nor the edge proxy has exited; or 502 in the edge "
        "proxy's own words while ApexFlow runs",
        fix="{fix}",
        needs=("DOCKER_DOWN",),
        unless=(*stops("proxy"), *stops("gateway")),
        run=_answers,
    ),
    Check(
        code="GW_ROUTE",
        hop="gateway",
        claim="The edge proxy has a route for the host",
        diagnosis="The edge proxy has no route for the host {host}",
        sign="404 in the edge proxy's own words",
        fix="correct {setting:gateway.host}, or the proxy's rule for that host",
        needs=("GW_DOWN",),
        run=_routes,
    ),
    Check(
        code=WRONG_ANSWER,
        hop="gateway",
        claim="What answers at the hop gateway is what was asked for",
        diagnosis="{seen}",
        sign="an answer that no other fault is about: a status, a page, a redirect, or an error of TLS",
        fix="{fix}",
        needs=("GW_ROUTE",),
        run=_is_of_the_gateway,
    ),
    Check(
        code="GW_LOGIN",
        hop="gateway",
        claim="The way to the gateway leads past no login page",
        diagnosis="The edge proxy answers with a page or leads elsewhere, as before a login page",
        sign="HTML with 200, or a redirect",
        fix="{fix}",
        needs=("gateway.WRONG_ANSWER",),
        run=_is_none_of(_ELSEWHERE),
    ),
    Check(
        code="GW_LIMIT",
        hop="gateway",
        claim="The edge proxy takes our requests",
        diagnosis="The edge proxy or the gateway takes no more requests for now",
        sign="429",
        fix="{fix}",
        needs=("GW_LOGIN",),
        run=_is_none_of(_LIMITED),
    ),
    Check(
        code="GW_AUTH",
        hop="gateway",
        claim="The gateway accepts the token",
        diagnosis="The gateway refuses a good token: {why}",
        sign="401 or 403 with a token that Keycloak has just given, or an error about the keys of its issuer",
        fix="{fix}",
        needs=("TOKEN_ISS", "TOKEN_TIME"),
        run=_lets_in,
    ),
    Check(
        code="GW_DUPLICATE",
        hop="gateway",
        claim="The last traffic run created new test data",
        diagnosis="The last traffic run met test data that exists already",
        sign="the last traffic run ended with 409: no outage",
        fix="{inv:traffic}: its new run id makes new e-mail addresses",
        needs=("GW_ROUTE",),
        told="last",
        run=_makes_new_data,
    ),
)
