"""What a case of a check is, and the facts that several cases are made of."""

from dataclasses import dataclass, field
from typing import Any

from runbook.diagnosis.catalogue import GRAPH
from runbook.diagnosis.checks import gateway, kafka
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.files import FileFact
from runbook.diagnosis.verdict import verdict
from runbook.errors import RunbookError
from runbook.model import CheckResult, Verdict
from runbook.runs.run_log import RunEvent
from runbook.systems.grafana.client import DatasourceHealth
from runbook.systems.http_answer import Readiness
from runbook.systems.runtime import Service, ServiceState
from tests.diagnosis.recorded import (
    HEALTHY,
    NOW,
    Change,
    Recorded,
    given,
    refused,
    silent,
    state,
)


def walk(*changes: Change) -> tuple[dict[tuple[str, str], CheckResult], Verdict, tuple[Verdict, ...]]:
    facts = dict(HEALTHY)
    for change in changes:
        facts.update(change)
    examined = GRAPH.examine(Recorded(facts), deadline_s=30.0)
    judged, also = verdict(examined)
    return {(one.check.hop, one.check.code): one.result for one in examined}, judged, also


@dataclass(frozen=True, kw_only=True)
class Case:
    """One check: what breaks it, what keeps it from being looked at, and a word of the evidence and of the fix."""

    hop: str
    code: str
    broken: Change = field(default_factory=dict)
    unseen: Change = field(default_factory=dict)
    says: str = ""
    fix: str = ""


def exited(service: Service, code: int = 137) -> Change:
    return given(Facts.state, state(service.name, "exited", exit_code=code), service)


def file(content: bytes) -> FileFact:
    return FileFact(where="the file", content=content)


DUPLICATE = RunEvent(
    at=NOW, kind="problem", data={"code": "GW_DUPLICATE", "seen": "409 exists", "where": "POST /leads", "fix": ""}
)
NOT_READY = Readiness(ready=False, status=503, saw="Service Unavailable")
ODD = RunbookError("neither an answer nor none", where="the client", fix="look")
NO_STATE = refused("unix:///var/run/docker.sock")

NO_RUNTIME: Change = {key: NO_STATE for key in HEALTHY if key[0] is Facts.state}
SILENT = silent(
    Facts.realm,
    Facts.token,
    gateway.unauthenticated_answer,
    gateway.probe,
    kafka.cluster,
    Facts.page,
    Facts.prometheus_ready,
    Facts.alertmanager_ready,
    Facts.grafana_health,
)


def container_cases(
    hop: str, service: Service, silent: Change, asked: Fact[Facts, [], Any] | None = None
) -> tuple[Case, ...]:
    """Return the container faults of one service; `silent` is what a service that does not run answers.

    Where its hop has a claim that it answers, `asked` is the fact that says so.
    """
    name = service.name
    unseen = given(Facts.state, NO_STATE, service) | ({asked.key(): ODD} if asked else silent)
    missing = state(name, "", found=False, nearest=("crm-sink",))
    killed = state(name, "exited", exit_code=137, out_of_memory=True, memory_limit=64 * 1024 * 1024)
    looping = state(name, "restarting", exit_code=1, restart_count=7)
    sick = state(name, health="unhealthy", probe_said="exit code 1: HTTP 503")
    unprobed = state(name, health="unhealthy", probe_said="exit code 127: curl: not found", probe_is_missing=True)

    def case(code: str, seen: ServiceState, says: str, fix: str) -> Case:
        return Case(
            hop=hop, code=code, broken=given(Facts.state, seen, service) | silent, unseen=unseen, says=says, fix=fix
        )

    return (
        case("CTR_MISSING", missing, "closest: crm-sink", f"docker compose up -d {name}"),
        case("CTR_OOM", killed, "out of memory", "and raise its limit of 64 MiB in its compose file"),
        case("CTR_PAUSED", state(name, "paused"), "paused", f"docker unpause {service.container}"),
        case("CTR_LOOP", looping, "restarting", f"then docker restart {service.container}"),
        case("CTR_EXITED", state(name, "exited", exit_code=137), "exit code 137", f"docker start {service.container}"),
        Case(
            hop=hop,
            code="CTR_UNHEALTHY",
            broken=given(Facts.state, sick, service),
            unseen=unseen,
            says="503",
            fix=f"docker logs --tail 100 {service.container}",
        ),
        Case(
            hop=hop,
            code="CTR_UNHEALTHY",
            broken=given(Facts.state, unprobed, service),
            unseen=unseen,
            says="curl: not found",
            fix="correct `healthcheck:`",
        ),
    )


SET_UP = given(Facts.last_setup, "20261123-1")
FAILED_RELOAD = given(rules_hop.reload_succeeded, answer=False)


def port_case(hop: str, service: Service, *unanswered: Fact[Facts, [], Any]) -> Case:
    """A service that runs and publishes nothing; `unanswered` are the facts that it would answer."""
    nothing = given(Facts.published, (), service) | silent(*unanswered)
    fix = f"add `ports:` to the service {service.name}, then docker compose up -d"
    return Case(
        hop=hop,
        code="PORT_UNPUBLISHED",
        broken=nothing,
        unseen={unanswered[0].key(): ODD},
        says="none published",
        fix=fix,
    )


LOOKUP = "dial tcp: lookup {} on 127.0.0.11:53: no such host"
SILENT_SOURCE = DatasourceHealth(ok=False, message=LOOKUP.format("aether-prom"))
