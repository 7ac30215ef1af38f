"""Step 4 of the runbook: a token, leads, jobs, and a ledger of what was created.

Every created id is in the record, on the disk, before the next request is sent: whatever ends the run, `verify`
accounts for what exists. Creating is never repeated by itself, because a second POST could create a second lead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from runbook.clients.gateway import EntityAnswer, Gateway
from runbook.clients.kafka import Kafka
from runbook.clients.keycloak import Keycloak, Token
from runbook.clients.prometheus import Prometheus
from runbook.clients.sink import Sink
from runbook.errors import AnswerError, ExitCode, RunbookError, UsageError
from runbook.model import Created, EntityKind, Evidence, Ledger, LedgerRow, TaskResult
from runbook.observer import Observer
from runbook.record import Record, target_lock
from runbook.settings import KafkaSettings, Target
from runbook.steps.counts import Position, Snapshot, sampled_snapshot, snapshot_of_page
from runbook.steps.frame import Done, Frame
from runbook.steps.ledger import api_sight
from runbook.steps.sent import Baseline
from runbook.waiting import Pace, Pending, wait_until

T = TypeVar("T")

MOST_LEADS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """How much is sent: leads, jobs on those leads, and at most `rate` requests a second (None: no limit)."""

    leads: int = 5
    jobs: int = 2
    rate: float | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot be sent."""
        for name, value, low in (("--leads", self.leads, 1), ("--jobs", self.jobs, 0)):
            if not low <= value <= MOST_LEADS:
                raise UsageError(f"{name} is {value}", where=f"option {name}", fix=f"choose {low} to {MOST_LEADS}")
        if self.rate is not None and not 0 < self.rate <= 10_000:  # noqa: PLR2004 - a limit, named in the message
            raise UsageError(f"--rate is {self.rate:g}", where="option --rate", fix="choose more than 0, at most 10000")


def traffic(
    target: Target, options: TrafficOptions, *, state_dir: Path, record: Record, observer: Observer
) -> TaskResult:
    """Create the leads and jobs on `target`; the result's ledger holds what the API answered.

    Exit code 1 if creation stopped half-way: the ledger then holds what was created until then.
    """
    frame = Frame("traffic", target=target.name, record=record, observer=observer)
    record.append("traffic", {"leads": options.leads, "jobs": options.jobs, "rate": options.rate})
    created: list[Created] = []
    try:
        with target_lock(state_dir, target=target.name, task="traffic"):
            token = frame.step("token", 4, lambda: _token(target))
            frame.step("baseline", 4, lambda: _baseline(target, record, options.timeout_s))
            sender = _Sender(target, token, options, record, observer, created)
            frame.step("leads", 4, sender.leads)
            frame.step("jobs", 4, sender.jobs)
    except RunbookError as error:
        _record_problem(record, error)
        return frame.failure(error, ledger=_ledger(record, created))
    return frame.result("ok", ExitCode.OK, ledger=_ledger(record, created))


def _token(target: Target) -> Done[Token]:
    token = Keycloak(target.keycloak).token()
    where = f"{target.keycloak.url}/realms/{target.keycloak.realm}"
    if not token.tenant_id:
        raise RunbookError(
            f"The token of {target.keycloak.username} names no tenant: there is no claim tenant_id",
            where=where,
            fix="add a mapper for tenant_id to the client in Keycloak, then inv traffic",
        )
    seen = Evidence(source=where, saw=f"tenant {token.tenant_id}, issuer {token.issuer}, until {token.expires_at}")
    reason = f"{target.keycloak.username} works for tenant {token.tenant_id}"
    return Done(value=token, outcome="ok", reason=reason, evidence=(seen,))


def _baseline(target: Target, record: Record, timeout_s: float) -> Done[Baseline]:
    """Read what stands before the first request; what cannot be read is said, and does not stop the traffic."""
    missing: list[Evidence] = []
    baseline = Baseline(
        at=datetime.now(UTC),
        sampled=_read(missing, lambda: _samples(target, timeout_s)),
        page=_read(missing, lambda: snapshot_of_page(Sink(target.sink).page())),
        end_offsets=_read(missing, lambda: _end_offsets(target.kafka)),
    )
    record.append("baseline", baseline)
    if missing:
        reason = "sent all the same; the sums that need what could not be read will be not checked"
        return Done(value=baseline, outcome="not_checked", reason=reason, evidence=tuple(missing))
    return Done(value=baseline, outcome="ok", reason="counters, samples and end offsets before the first request")


def _read(missing: list[Evidence], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except RunbookError as error:
        missing.append(Evidence(source=error.where, saw=error.seen))
        return None


def _samples(target: Target, timeout_s: float) -> Snapshot:
    """Return the newest samples of the sink; right after a first start of Prometheus, wait for one."""
    prometheus = Prometheus(target.prometheus)

    def sampled() -> Snapshot | Pending:
        found = sampled_snapshot(prometheus, job=target.prometheus.job)
        if found:
            return found
        targets = [one for one in prometheus.targets() if one.job == target.prometheus.job]
        return Pending(f"its targets: {[(one.url, one.health, one.last_error) for one in targets] or 'none'}")

    return wait_until(
        sampled,
        what=f"A first sample of job {target.prometheus.job}",
        deadline_s=min(timeout_s, 30.0),
        where=f"{target.prometheus.url}/api/v1/targets",
        fix="inv troubleshoot --hop prometheus",
        every_s=0.2,
    )


def _end_offsets(settings: KafkaSettings) -> tuple[Position, ...]:
    with Kafka(settings) as kafka:
        ends = kafka.end_offsets((settings.lead_topic, settings.job_topic))
    return tuple(Position(topic=topic, partition=part, offset=end) for (topic, part), end in sorted(ends.items()))


class _Sender:
    """Sends the leads, then the jobs on those leads, and records each answer before the next request."""

    def __init__(  # noqa: PLR0917 - private, made at one place
        self,
        target: Target,
        token: Token,
        options: TrafficOptions,
        record: Record,
        observer: Observer,
        created: list[Created],
    ) -> None:
        self._kafka = target.kafka
        self._gateway = Gateway(target.gateway, token.value, timeout_s=min(options.timeout_s, 15.0))
        self._options = options
        self._record = record
        self._observer = observer
        self._created = created
        self._pace = Pace(options.rate)

    def leads(self) -> Done[None]:
        def send(number: int) -> EntityAnswer:
            return self._gateway.create_lead(
                name=f"Grafana Event Test {number}", email=self._email(number), source="dashboard-test"
            )

        return self._send("lead", self._options.leads, self._kafka.lead_topic, send, self._email)

    def jobs(self) -> Done[None]:
        lead_ids = [entity.id for entity in self._created if entity.kind == "lead"]

        def send(number: int) -> EntityAnswer:
            return self._gateway.create_job(
                lead_id=lead_ids[(number - 1) % len(lead_ids)],
                title=self._title(number),
                status="Open",
                description="Testing job events visualization",
            )

        return self._send("job", self._options.jobs, self._kafka.job_topic, send, self._title)

    def _email(self, number: int) -> str:
        return f"grafana{number}+{self._record.run_id}@test.com"

    def _title(self, number: int) -> str:
        return f"Dashboard Test Job {number} {self._record.run_id}"

    def _send(
        self,
        kind: EntityKind,
        total: int,
        topic: str,
        send: Callable[[int], EntityAnswer],
        label: Callable[[int], str],
    ) -> Done[None]:
        for number in range(1, total + 1):
            self._pace.wait_for_turn()
            with _counted(kind, number, total, self._created):
                answer = send(number)
            entity = Created(
                kind=kind,
                id=answer.id,
                tenant_id=answer.tenant_id,
                topic=topic,
                label=label(number),
                sent_at=answer.sent_at,
                answered_at=answer.answered_at,
                status=answer.status,
            )
            self._record.append("created", entity)
            self._created.append(entity)
            self._observer.progresses(f"{kind}s", number, total)
        ids = ", ".join(str(entity.id) for entity in self._created if entity.kind == kind)
        return Done(
            value=None, outcome="ok", reason=f"created {total} {kind}s: id {ids}" if total else f"no {kind}s wanted"
        )


@contextmanager
def _counted(kind: EntityKind, number: int, total: int, created: list[Created]) -> Iterator[None]:
    """Say in the error of one request what exists already."""
    try:
        yield
    except RunbookError as error:
        ids = ", ".join(str(entity.id) for entity in created if entity.kind == kind) or "none"
        error.seen = f"{kind} {number} of {total} was not created: {error.seen} (created so far: {ids})"
        raise


def _record_problem(record: Record, error: RunbookError) -> None:
    """Keep what ended the traffic: `troubleshoot` reads a 409 from here instead of making one."""
    is_duplicate = isinstance(error, AnswerError) and error.status == 409  # noqa: PLR2004 - HTTP: conflict
    status = error.status if isinstance(error, AnswerError) else None
    code = "GW_DUPLICATE" if is_duplicate else ""
    record.append(
        "problem", {"code": code, "seen": error.seen, "where": error.where, "fix": error.fix, "status": status}
    )


def _ledger(record: Record, created: list[Created]) -> Ledger:
    """Return the first column of the ledger: what the API answered."""
    rows = tuple(LedgerRow(created=entity, hops=(api_sight(entity),)) for entity in created)
    return Ledger(run_id=record.run_id, rows=rows)
