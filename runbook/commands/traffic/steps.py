"""Step 4 of the runbook: a token, leads, jobs, and a ledger of what was created.

Every created id is in the record, on the disk, before the next request is sent: whatever ends the run, `verify`
accounts for what exists. Creating is never repeated by itself, because a second POST could create a second lead.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.commands.traffic.lead_sender import LeadSender
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.result import TrafficResult
from runbook.conservation.ledger import api_sight
from runbook.conservation.snapshot import Position, Snapshot, sampled_snapshot, snapshot_of_page
from runbook.conservation.traffic_run import Baseline
from runbook.errors import AnswerError, ExitCode, RunbookError, UsageError
from runbook.interrupts import Interrupted
from runbook.invocation import inv
from runbook.model import Created, Evidence, Ledger, LedgerRow, Problem
from runbook.runs.run_log import RunLog
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.settings import KafkaSettings
from runbook.systems.keycloak.client import Keycloak, Token
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.sink.client import Sink
from runbook.waiting import Pending, wait_until

T = TypeVar("T")

_FIRST_SAMPLE_S = 30.0


def traffic(context: RunContext, options: TrafficOptions) -> TrafficResult:
    """Create the leads and jobs on the target; the result's ledger holds what the API answered.

    Exit code 1 if creation stopped half-way, 130 if it was interrupted: the ledger then holds what was created
    until then. Exit code 3 where something that a proof needs could not be read before: that is asked first.
    """
    task_run = TaskRun("traffic", context)
    target, run_log = context.target, context.run_log
    created: list[Created] = []
    try:
        with context.locked():
            run_log.append("traffic", {"leads": options.leads, "jobs": options.jobs, "rate": options.rate})
            token = task_run.step("token", 4, lambda: _token(target, options.timeout_s))
            missing = task_run.step("baseline", 4, lambda: _baseline(target, run_log, options.timeout_s))
            if missing and (ended := _not_sent(task_run, missing)):
                return ended
            sender = LeadSender(context=context, token=token, options=options, created=created)
            task_run.step("leads", 4, sender.leads)
            task_run.step("jobs", 4, sender.jobs)
    except Interrupted:
        problem = Problem(
            seen=f"Interrupted between two requests: {len(created)} of {options.leads + options.jobs} were created",
            where=str(run_log.folder),
            fix=f"{inv(f'verify --run {run_log.run_id}')} accounts for what was created",
        )
        result = task_run.result(TrafficResult, "interrupted", ExitCode.INTERRUPTED, problem=problem)
        return replace(result, ledger=_ledger(run_log, created))
    except RunbookError as error:
        _record_problem(run_log, error)
        return replace(task_run.failure(TrafficResult, error), ledger=_ledger(run_log, created))
    outcome, code = ("inconclusive", ExitCode.INCONCLUSIVE) if missing else ("ok", ExitCode.OK)
    return replace(task_run.result(TrafficResult, outcome, code), ledger=_ledger(run_log, created))


def _not_sent(task_run: TaskRun, missing: tuple[Evidence, ...]) -> TrafficResult | None:
    """Ask whether to send what cannot be proven whole later; return how the command ends if the answer is not yes."""
    unread = "; ".join(f"{one.source}: {one.saw}" for one in missing)
    try:
        question = f"What was not read now cannot be proven later ({unread}). Create the leads and jobs?"
        return None if task_run.context.screen.confirm(question) else task_run.declined(TrafficResult)
    except UsageError:  # nobody is there to answer
        problem = Problem(
            seen=f"Nothing was created: what was not read now cannot be proven later ({unread})",
            where=missing[0].source,
            fix=f"{inv('troubleshoot')} names what is broken; --yes creates them nevertheless",
        )
        return task_run.result(TrafficResult, "inconclusive", ExitCode.INCONCLUSIVE, problem=problem)


def _token(target: Target, timeout_s: float) -> StepOutput[Token]:
    token = Keycloak(target.keycloak, answer_s(timeout_s)).token()
    where = f"{target.keycloak.url}/realms/{target.keycloak.realm}"
    if not token.tenant_id:
        raise RunbookError(
            f"The token of {target.keycloak.username} names no tenant: there is no claim tenant_id",
            where=where,
            fix=f"add a mapper for tenant_id to the client in Keycloak, then {inv('traffic')}",
        )
    seen = Evidence(source=where, saw=f"tenant {token.tenant_id}, issuer {token.issuer}, until {token.expires_at}")
    reason = f"logged in as {target.keycloak.username}; the token names tenant {token.tenant_id}"
    return StepOutput(value=token, outcome="ok", reason=reason, evidence=(seen,))


def _baseline(target: Target, run_log: RunLog, timeout_s: float) -> StepOutput[tuple[Evidence, ...]]:
    """Read what stands before the first request, and return what could not be read of it."""
    missing: list[Evidence] = []
    page = _read(missing, lambda: _page(target, timeout_s))
    baseline = Baseline(
        at=datetime.now(UTC),
        page=page,
        sampled=_read(missing, lambda: _samples(target, page, timeout_s)),
        end_offsets=_read(missing, lambda: _end_offsets(target.kafka)),
        cluster_id=_read(missing, lambda: _cluster_id(target.kafka)) or "",
    )
    run_log.append("baseline", baseline)
    unread = tuple(dict.fromkeys(missing))
    if unread:
        reason = "what could not be read before the first request cannot be proven later"
        return StepOutput(value=unread, outcome="not_checked", reason=reason, evidence=unread)
    return StepOutput(value=(), outcome="ok", reason="counters, samples and end offsets before the first request")


def _read(missing: list[Evidence], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except RunbookError as error:
        missing.append(Evidence(source=error.where, saw=error.seen))
        return None


def _page(target: Target, timeout_s: float) -> Snapshot:
    """Return the sink's page; a sink that tells positions is waited for until it has its partitions."""
    sink = Sink(target.sink, answer_s(timeout_s))

    def shown() -> Snapshot | Pending:
        found = snapshot_of_page(sink.page())
        is_waiting = found.assignments is not None and not found.positions
        return Pending("it has no partitions yet") if is_waiting else found

    return wait_until(
        shown,
        what="The sink's position in Kafka",
        deadline_s=min(timeout_s, _FIRST_SAMPLE_S),
        where=f"GET {target.sink.metrics_url}",
        fix=inv("troubleshoot --hop sink"),
        every_s=0.2,
    )


def _samples(target: Target, page: Snapshot | None, timeout_s: float) -> Snapshot:
    """Return the newest samples of the sink; wait for the first that can be a baseline.

    The sink shows a new series at 0 once before its value, and no positions then: such a scrape would be too low.
    """
    prometheus = Prometheus(target.prometheus, answer_s(timeout_s))

    def sampled() -> Snapshot | Pending:
        found = sampled_snapshot(prometheus, job=target.prometheus.job)
        if found and page and _is_of_an_earlier_process(found, page):
            return Pending("the newest sample is of the sink's process before this one")
        if found and page and page.positions and not found.positions:
            return Pending("the newest sample shows no position of the sink")
        if found:
            newborn = [one for one in (page.counts if page else ()) if one.value and not found.value_of(one)]
            return Pending(f"{newborn[0].topic} of {newborn[0].tenant_id} is still at 0") if newborn else found
        targets = [one for one in prometheus.targets() if one.job == target.prometheus.job]
        return Pending(f"its targets: {[(one.url, one.health, one.last_error) for one in targets] or 'none'}")

    return wait_until(
        sampled,
        what=f"A first sample of job {target.prometheus.job}",
        deadline_s=min(timeout_s, _FIRST_SAMPLE_S),
        where=f"{target.prometheus.url}/api/v1/targets",
        fix=inv("troubleshoot --hop prometheus"),
        every_s=0.2,
    )


def _is_of_an_earlier_process(sampled: Snapshot, page: Snapshot) -> bool:
    """Say whether counters have gone back since the sample, though nothing behind it was read: they began anew.

    A sink whose journal is in PostgreSQL begins at 0; a baseline from before would hide as many events.
    """
    if None not in {sampled.started_s, page.started_s}:
        return sampled.started_s != page.started_s
    is_ahead = any((sampled.position(one.topic, one.partition) or 0) > one.offset for one in page.positions)
    return not is_ahead and any(one.value > page.value_of(one) for one in sampled.counts)


def _end_offsets(settings: KafkaSettings) -> tuple[Position, ...]:
    with Kafka(settings) as kafka:
        ends = kafka.end_offsets((settings.lead_topic, settings.job_topic))
    return tuple(Position(topic=topic, partition=part, offset=end) for (topic, part), end in sorted(ends.items()))


def _cluster_id(settings: KafkaSettings) -> str:
    with Kafka(settings) as kafka:
        return kafka.metadata().cluster_id


def _record_problem(run_log: RunLog, error: RunbookError) -> None:
    """Keep what ended the traffic: `troubleshoot` reads a 409 from here instead of making one."""
    is_duplicate = isinstance(error, AnswerError) and error.status == HTTPStatus.CONFLICT
    status = error.status if isinstance(error, AnswerError) else None
    code = "GW_DUPLICATE" if is_duplicate else ""
    run_log.append(
        "problem", {"code": code, "seen": error.seen, "where": error.where, "fix": error.fix, "status": status}
    )


def _ledger(run_log: RunLog, created: list[Created]) -> Ledger:
    """Return the first column of the ledger: what the API answered."""
    rows = tuple(LedgerRow(created=entity, hops=(api_sight(entity),)) for entity in created)
    return Ledger(run_id=run_log.run_id, rows=rows)
