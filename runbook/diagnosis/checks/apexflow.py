"""Hop apexflow: what creates leads and jobs, asked through the gateway."""

import re
from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.checks.gateway import probe, probe_seen, unauthenticated_answer
from runbook.diagnosis.container_checks import container_checks, stops
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.reach import UPSTREAM, is_here, networks_apart
from runbook.diagnosis.service_state import complaints, state_evidence
from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.addresses import is_loopback
from runbook.systems.runtime import Service

_ADDRESS: Final = re.compile(r"(?<![\w:.-])((?:[A-Za-z][\w.-]*|\d+(?:\.\d+){3})):(?!53\b)(\d{2,5})(?!:?\d)")
_UNRESOLVED: Final = re.compile(r"no such host|not known|name resolution", re.IGNORECASE)

_BY_APEXFLOW: Final = "The gateway gets no answer from ApexFlow"
_BY_EITHER: Final = "The edge proxy gets no answer from the gateway, or the gateway gets none from ApexFlow"
_ITS_OWN: Final = frozenset({"", "not_found", "invalid", "bad_request", "duplicate"})


def _answer(facts: Facts) -> Evidence:
    answer = probe(facts)
    seen = probe_seen(facts, answer)
    if not answer.is_json or answer.code not in _ITS_OWN or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def _is_reached(facts: Facts) -> Finding:
    try:
        answer = probe(facts)
    except UnreachableError as error:
        if error.reason != "timeout":
            raise
        return _unreached(facts, saw(error.where, error.seen))
    seen = probe_seen(facts, answer)
    return _unreached(facts, seen) if answer.status in UPSTREAM else Ok((seen,))


def _unreached(facts: Facts, seen: Evidence) -> Finding:
    """Say what the gateway tried: a start of ApexFlow changes nothing where it asks at another address.

    What a request without a token is answered shows whether the gateway itself runs: it refuses that one alone.
    """
    gateway, apexflow = facts.target.gateway.as_service, facts.target.apexflow.as_service
    without = unauthenticated_answer(facts)
    asked = seen, saw("the same without a token", without.saw)
    apart = networks_apart(facts, gateway, apexflow)
    if apart:
        return broken(*asked, *apart.evidence, told=_BY_APEXFLOW, fix=apart.fix)
    evidence = *asked, *state_evidence(facts, apexflow)
    start, tried = facts.start_command(apexflow), _tried(facts)
    if tried is None:
        if without.is_json or without.status not in UPSTREAM:
            return broken(*evidence, told=_BY_APEXFLOW, fix=start)
        return broken(*evidence, told=_BY_EITHER, fix=f"{facts.start_command(gateway)}, then {start}")
    line, host, port = tried
    said = saw(f"log of {gateway.name}", line)
    if _leads_nowhere(facts, apexflow, line, host, int(port)):
        fix = f"correct the gateway's address of {apexflow.name}, then {facts.recreate_command(gateway)}"
    else:
        fix = f"{start}; if that changes nothing, correct {host}:{port} in the gateway"
    return broken(*evidence, said, told=_BY_APEXFLOW, fix=fix)


def _tried(facts: Facts) -> tuple[str, str, str] | None:
    """Return the gateway's last complaint of a connection, with host and port; None if it names none."""
    for line in reversed(complaints(facts, facts.target.gateway.as_service)):
        found = _ADDRESS.search(line)
        if found:
            return line, found[1], found[2]
    return None


def _leads_nowhere(facts: Facts, service: Service, line: str, host: str, port: int) -> bool:
    """Say whether an address cannot be that of a service that runs: nobody has the name, or it has no such port."""
    if is_loopback(host):
        return all(one.host_port != port for one in facts.published(service))
    return host not in {service.name, service.container} and bool(_UNRESOLVED.search(line))


CHECKS = (
    *container_checks(
        "apexflow",
        "ApexFlow",
        lambda facts: facts.target.apexflow.as_service,
        _answer,
        is_here=lambda facts: is_here(facts, facts.target.gateway.url),
    ),
    Check(
        code="GW_UPSTREAM",
        hop="apexflow",
        claim="The gateway reaches ApexFlow",
        diagnosis="{told}",
        sign="502, 503, 504 or no answer in time with a token, and neither ApexFlow nor its database has exited; the "
        "gateway's log says what it tried; the edge proxy's own words without a token, too, may mean the gateway",
        fix="{fix}",
        needs=("TOKEN_TENANT", "GW_LIMIT", "apexflow.CTR_EXITED"),
        unless=("TOKEN_ISS", "TOKEN_TIME", "GW_AUTH", *stops("database")),
        run=_is_reached,
    ),
)
