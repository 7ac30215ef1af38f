"""Events for faults that need some: leads and jobs, kept in a run log as those of `inv traffic` are."""

from pathlib import Path

from runbook.errors import AnswerError
from runbook.model import Created, EntityKind
from runbook.runs.new_run import begin_run
from runbook.runs.run_log import TRAFFIC, RunLog
from runbook.settings import LOCAL, STATE_DIR, Target
from runbook.systems.gateway.client import EntityAnswer, Gateway
from runbook.systems.keycloak.client import Keycloak


def send_wave(directory: Path, target: Target) -> None:
    """Create one lead and one job."""
    gateway, run_log = _gateway(target), _begun(directory, leads=1, jobs=1)
    lead = gateway.create_lead(name="Practice", email=f"practice+{run_log.run_id}@test.com", source="stack.break")
    _keep(run_log, target, "lead", lead)
    job = gateway.create_job(lead_id=lead.id, title="Practice", status="Open", description="stack.break")
    _keep(run_log, target, "job", job)


def send_twice(directory: Path, target: Target) -> str:
    """Create the same lead twice, as the runbook's loop does when it is run again; return the id of the run."""
    gateway, run_log = _gateway(target), _begun(directory, leads=2, jobs=0)
    email = f"grafana1+{run_log.run_id}@test.com"
    for _ in range(2):
        try:
            lead = gateway.create_lead(name="Grafana Event Test 1", email=email, source="dashboard-test")
            _keep(run_log, target, "lead", lead)
        except AnswerError as error:
            problem = {"seen": error.seen, "where": error.where, "fix": error.fix, "status": error.status}
            run_log.append("problem", {"code": "GW_DUPLICATE", **problem})
    return run_log.run_id


def _gateway(target: Target) -> Gateway:
    return Gateway(target.gateway, Keycloak(target.keycloak).token().value)


def _begun(directory: Path, *, leads: int, jobs: int) -> RunLog:
    run_log = begin_run(directory / STATE_DIR, task="stack.break", target=LOCAL)
    run_log.append(TRAFFIC, {"leads": leads, "jobs": jobs, "rate": None})
    return run_log


def _keep(run_log: RunLog, target: Target, kind: EntityKind, answer: EntityAnswer) -> None:
    kafka = target.kafka
    created = Created(
        kind=kind,
        id=answer.id,
        tenant_id=answer.tenant_id,
        topic=kafka.lead_topic if kind == "lead" else kafka.job_topic,
        label="practice",
        sent_at=answer.sent_at,
        answered_at=answer.answered_at,
        status=answer.status,
    )
    run_log.append("created", created)
