"""What the answer of a system is told as: silence is one fault, each wrong answer another, with a fix of its own.

The checks of one system stand in a row: who is silent says nothing wrong, and who is spoken to with a wrong CA is not
asked for a password. One answer is one fault: the first row that it fits, or else WRONG_ANSWER.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Final

from runbook.diagnosis.check import Broken, Check, Finding, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import down, state_evidence
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.runtime import Service

WRONG_ANSWER: Final = "WRONG_ANSWER"
OF_TLS: Final = frozenset(
    {
        "tls",
        "tls_expired",
        "tls_not_yet_valid",
        "tls_unknown_ca",
        "tls_other_name",
        "tls_client_certificate",
        "tls_version",
        "tls_on_plain_port",
        "plain_on_tls_port",
    }
)
"""The reasons of a ProtocolError that are about TLS."""

_SLOW: Final = 0.5  # of the time that one answer may take

Ask = Callable[[Facts], Evidence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row: `met` are the codes of an AnswerError or the reasons of a ProtocolError that are told as this fault.

    An empty `fix` is the one that the error brings.
    """

    code: str
    met: frozenset[str]
    claim: str
    diagnosis: str
    sign: str
    fix: str = "{fix}"


def answer_checks(hop: str, ask: Ask, rows: Sequence[Told | str], *, needs: str) -> Iterator[Check[Facts]]:
    """Yield the checks of the answers of one system, each of which needs the one before; the first needs `needs`.

    `ask` returns what was seen where the system answers as it should, and raises the error of its client where not. The
    place of WRONG_ANSWER is where it stands among the rows: it is for every answer that no row is about.
    """
    named = [row for row in rows if isinstance(row, Told)]
    of_rows = frozenset().union(*(row.met for row in named))
    for row in rows:
        if isinstance(row, Told):
            yield _check(hop, row, _look(ask, _is_of(row.met)), needs)
            needs = row.code
        else:
            yield _check(hop, _any_other(hop), _look(ask, _is_of_none(of_rows)), needs)
            needs = f"{hop}.{WRONG_ANSWER}"


def but_answers(look: Callable[[Facts], Finding]) -> Callable[[Facts], Finding]:
    """Make any other answer prove what a look at silence or at time is about: that somebody answers."""

    @wraps(look)
    def looked(facts: Facts) -> Finding:
        try:
            return look(facts)
        except (AnswerError, ProtocolError) as error:
            met_by(error)
            return Ok((saw(error.where, error.seen),))

    return looked


def silent(facts: Facts, service: Service, error: UnreachableError, *, address: str) -> Broken:
    """Return the finding that nobody answers; fills in `{state}` and `{fix}`. `address` names the setting."""
    found = down(facts, service, saw(error.where, error.seen))
    if error.reason != "dns":
        return Broken(found.evidence, {"state": "does not answer", "fix": found.fields["start"]})
    fix = f"correct the host name in {address}, or let this host resolve it"
    return Broken(found.evidence, {"state": "cannot be found: its name does not resolve", "fix": fix})


def not_ready(facts: Facts, service: Service, seen: Evidence) -> Broken:
    """Return the finding that a service says itself that it does not serve yet; fills in `{state}` and `{fix}`."""
    fix = f"wait a minute, then {inv('troubleshoot')}; {facts.log_command(service)} shows what it does"
    return broken(seen, *state_evidence(facts, service), state="answers that it is not ready", fix=fix)


def is_known_to_run(facts: Facts, service: Service) -> bool:
    """Say whether the runtime sees it run; False when the runtime cannot be asked."""
    try:
        return facts.state(service).is_running
    except RunbookError:
        return False


def after(facts: Facts, took_s: float) -> str:
    """Return `, after 1.9 s of the 3 s that an answer may take` for a slow answer; nothing for any other."""
    limit_s = facts.reading_s
    return f", after {took_s:.1f} s of the {limit_s:g} s that an answer may take" if took_s > _SLOW * limit_s else ""


def met_by(error: RunbookError) -> str:
    """Return by which code or reason a system was met; raise what says nothing of the system itself.

    That is a proxy of the environment, and what is too large or of a shape that we cannot read.
    """
    if isinstance(error, ProtocolError) and not error.is_of_a_proxy:
        return error.reason
    if isinstance(error, AnswerError) and (error.code == "page" or error.status >= HTTPStatus.MULTIPLE_CHOICES):
        return error.code or str(error.status)
    raise error


def _any_other(hop: str) -> Told:
    return Told(
        code=WRONG_ANSWER,
        met=frozenset(),
        claim=f"What answers at the hop {hop} is what was asked for",
        diagnosis="{seen}",
        sign="an answer that no other fault is about: a status, a page, a redirect, or an error of TLS",
    )


def _check(hop: str, row: Told, run: Callable[[Facts], Finding], needs: str) -> Check[Facts]:
    return Check(
        code=row.code,
        hop=hop,
        claim=row.claim,
        diagnosis=row.diagnosis,
        sign=row.sign,
        fix=row.fix,
        needs=(needs,),
        run=run,
    )


def _look(ask: Ask, is_told: Callable[[str], bool]) -> Callable[[Facts], Finding]:
    def look(facts: Facts) -> Finding:
        try:
            return Ok((ask(facts),))
        except UnreachableError:
            raise
        except RunbookError as error:
            seen = saw(error.where, error.seen)
            if is_told(met_by(error)):
                return broken(seen, seen=error.seen, fix=error.fix, setting=facts.places, **_names(facts))
            return Ok((seen,))

    return look


def _names(facts: Facts) -> dict[str, str]:
    """Return the names that diagnoses and fixes are filled in with."""
    keycloak, who = facts.target.keycloak, facts.target.grafana.who
    return {"realm": keycloak.realm, "client": keycloak.client_id, "user": keycloak.username, "who": who}


def _is_of(met: frozenset[str]) -> Callable[[str], bool]:
    return lambda code: code in met


def _is_of_none(met: frozenset[str]) -> Callable[[str], bool]:
    return lambda code: code not in met
