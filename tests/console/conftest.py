"""Results as tasks return them: a healthy verify, a troubleshoot that found a fault, and every listing."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.commands.history.result import PastRun
from runbook.commands.init.result import FoundSetting, SettingInForce
from runbook.commands.metrics.result import QueryAnswer, SeriesValue
from runbook.commands.silence.result import Silenced
from runbook.commands.verify.result import JudgedBoundary, JudgedFlow
from runbook.model import (
    CheckResult,
    Created,
    Criterion,
    EntityKind,
    Evidence,
    HopSight,
    Ledger,
    LedgerRow,
    LedgerSum,
    Line,
    Problem,
    ServiceStatus,
    Sight,
    StepResult,
    Verdict,
)
from tests.everything import Everything

SENT = datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)
RUN_ID = "20251103-194851-ab12"
HOPS = {"API": 0.012, "Kafka": 0.0153, "sink": 0.0214, "/metrics": None, "Prometheus": 3.4, "panel": 12.53}
CLAIMS = (
    "Panel 20 shows timeseries lines for both lead and job events",
    "Panel 21 shows at least one tenant with event rate > 0",
    "Alert CrmEventsSinkDown is loaded in Prometheus (not firing)",
    "Metrics endpoint http://localhost:9105/metrics returns data",
    'Logs show "Received lead.created for tenant acme" messages',
)


def row(kind: EntityKind, number: int, *, lost_at: str = "", outcome: Sight = "failed") -> LedgerRow:
    """One row; at the hop `lost_at` the event was not seen, or could not be looked for."""
    created = Created(
        kind=kind,
        id=number,
        tenant_id="acme",
        topic=f"apexflow.{kind}s.created",
        label=f"Grafana Event Test {number}",
        sent_at=SENT,
        answered_at=SENT + timedelta(milliseconds=12),
        status=200,
    )
    hops = tuple(
        HopSight(hop=hop, outcome=outcome, saw=f"no event of {kind} {number} in 3 partitions")
        if hop == lost_at
        else HopSight(hop=hop, outcome="ok", saw="seen", at=None if after is None else SENT + timedelta(seconds=after))
        for hop, after in HOPS.items()
    )
    return LedgerRow(created=created, hops=hops)


def total(source: str, kind: EntityKind, ours: int, delta: int | None) -> LedgerSum:
    return LedgerSum(
        source=source, topic=f"apexflow.{kind}s.created", tenant_id="acme", ours=ours, others=0, delta=delta
    )


def evidence(saw: str, source: str = "POST :3000/api/ds/query") -> tuple[Evidence, ...]:
    return (Evidence(source=source, saw=saw),)


@pytest.fixture
def healthy() -> Everything:
    rows = (*(row("lead", number) for number in range(1, 6)), row("job", 1), row("job", 2))
    sums = (
        total("sink /metrics", "lead", 5, 5),
        total("sink /metrics", "job", 2, 2),
        total("Prometheus", "lead", 5, 5),
    )
    return Everything(
        task="verify",
        target="live",
        run_id=RUN_ID,
        started_at=SENT,
        duration_s=14.21,
        outcome="ok",
        exit_code=0,
        steps=(StepResult(step="sums", number=5, outcome="ok", reason="3 of 3 sums close", duration_s=1.7),),
        criteria=tuple(
            Criterion(number=number, claim=claim, outcome="ok", evidence=evidence("2 series, last value 0.0167/s"))
            for number, claim in enumerate(CLAIMS, start=1)
        ),
        ledger=Ledger(run_id=RUN_ID, rows=rows, sums=sums),
    )


@pytest.fixture
def failing() -> Everything:
    refused = evidence('lastError "connection refused"', "GET :9090/api/v1/targets")
    return Everything(
        task="troubleshoot",
        target="live",
        run_id=RUN_ID,
        started_at=SENT,
        duration_s=3.2,
        outcome="fault",
        exit_code=1,
        steps=(
            StepResult(
                step="hops",
                number=5,
                outcome="failed",
                reason="Prometheus cannot scrape",
                evidence=refused,
                duration_s=3,
            ),
        ),
        ledger=Ledger(
            run_id=RUN_ID,
            rows=(row("lead", 1, lost_at="Kafka"), row("lead", 2, lost_at="Prometheus", outcome="not_checked")),
            sums=(total("Prometheus", "lead", 2, None),),
        ),
        verdict=Verdict(
            outcome="fault",
            code="P_TARGET",
            claim="Prometheus looks for the sink at a wrong port or path",
            evidence=refused,
            fix="correct the target of job crm-events-sink in prometheus.yml, then curl -X POST :9090/-/reload",
        ),
        also=(Verdict(outcome="fault", code="M_DOWN", claim="Alertmanager is down", fix="start it"),),
        boundaries=(
            JudgedBoundary(
                name="Kafka to sink",
                outcome="failed",
                is_exercised=True,
                reason="17 in, 12 out, 5 missing at apexflow.leads.created/0@3",
                since=SENT,
                until=SENT + timedelta(minutes=15),
                flows=(
                    JudgedFlow(topic="apexflow.jobs.created", tenant_id="acme", entered=2, left=2),
                    JudgedFlow(topic="apexflow.leads.created", tenant_id="acme", entered=15, left=10),
                ),
                notes=("only the newest 50,000 offsets were read, since 19:48:51 UTC",),
            ),
            JudgedBoundary(
                name="sink to Prometheus", outcome="not_checked", is_exercised=False, reason="Prometheus is starting"
            ),
            JudgedBoundary(name="Prometheus to Grafana", outcome="ok", is_exercised=False, reason="nothing crossed it"),
        ),
        checks=(
            CheckResult(code="D_UP", hop="runtime", claim="every container runs", status="ok"),
            CheckResult(code="P_UP", hop="prometheus", claim="Prometheus is ready", status="ok"),
            CheckResult(
                code="P_TARGET", hop="prometheus", claim="it scrapes the sink", status="broken", evidence=refused
            ),
            CheckResult(code="F_LINES", hop="grafana", claim="panel 20 has lines", status="blocked", by="P_TARGET"),
            CheckResult(
                code="R_STALE",
                hop="rules",
                claim="the container holds the new rules file",
                status="not_checked",
                evidence=evidence("permission denied", "/var/run/docker.sock"),
            ),
        ),
        problem=Problem(
            seen="Keycloak refused the login: 401 invalid_grant",
            where="POST http://localhost:8180/realms/aetherlink/protocol/openid-connect/token as user demo",
            fix="set the password of demo, then inv verify",
        ),
    )


@pytest.fixture
def listing() -> Everything:
    return Everything(
        task="stack.status",
        target="local",
        run_id="",
        started_at=SENT,
        duration_s=0.1,
        outcome="ok",
        exit_code=0,
        steps=(),
        parts=(
            ServiceStatus(
                name="kafka",
                plays="Kafka: librdkafka's mock cluster",
                kind="stand-in",
                running=True,
                pid=4242,
                address="127.0.0.1:19092",
            ),
            ServiceStatus(
                name="prometheus",
                plays="Prometheus",
                kind="real",
                running=False,
                pid=None,
                address="http://127.0.0.1:9090",
                detail="exited with code 1",
            ),
        ),
        runs=(
            PastRun(
                run_id=RUN_ID,
                record="finished",
                task="troubleshoot",
                target="live",
                outcome="rolled_back",
                started_at=SENT,
                duration_s=61.5,
            ),
            PastRun(run_id="20251103-200000-cd34", record="broken", note="The record was altered"),
        ),
        answers=(
            QueryAnswer(
                title="Events per second by topic",
                expr="sum by (topic) (rate(crm_events_ingested_total[5m]))",
                unit="events/s",
                series=(
                    SeriesValue(labels={"topic": "apexflow.jobs.created"}, at=SENT, value=float("nan")),
                    SeriesValue(labels={"topic": "apexflow.leads.created"}, at=SENT, value=0.016),
                ),
            ),
            QueryAnswer(
                title="Raw totals", expr="crm_events_ingested_total", unit="events", series=(), note="not scraped"
            ),
        ),
        silences=(
            Silenced(id="6c0b", alert="CrmEventsSinkDown", author="ana", reason="move", state="active", ends_at=SENT),
        ),
        lines=(
            Line(text="[2025-11-03T19:48:51.465169] Received lead.created for tenant acme", at=SENT),
            Line(text="\x1b[31mred\x1b[0m [bold]not bold[/bold]\r" + "x" * 100),
        ),
        found=(FoundSetting(group="grafana", key="container", value="shop-1", why="the only container of the image"),),
        unknown=(Problem(seen="Kafka runs in no container", where="the engine's list", fix="docker ps -a"),),
        settings=(
            SettingInForce(group="grafana", key="password", value="set", source="environment", place="RUNBOOK_X"),
        ),
        wrong=(Problem(seen="keep must be more", where="[targets.live.runs] keep in runbook.toml:2", fix="keep = 1"),),
    )
