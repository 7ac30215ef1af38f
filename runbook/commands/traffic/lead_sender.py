"""The requests of step 4: each created id is on the disk before the next request is sent.

A request is never cut in two by an interrupt, and never repeated: a second POST could create a second lead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput
from runbook.commands.traffic.options import TrafficOptions
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.interrupts import uninterrupted
from runbook.model import Created, EntityKind
from runbook.systems.gateway.client import EntityAnswer, Gateway
from runbook.systems.http import answer_s
from runbook.systems.keycloak.client import Keycloak, Token
from runbook.waiting import Pace

_ANSWER_S = 15.0
_TOKEN_LEFT = timedelta(seconds=20)
"""A token with less life left is renewed: it must outlive the request and a difference of clocks."""

_SHOWN_IDS = 10
_CLIENT_ERROR = 4
"""First digit of the statuses by which an API says that it did nothing."""


class LeadSender:
    """Sends the leads, then the jobs on those leads, and records each answer before the next request."""

    def __init__(self, *, context: RunContext, token: Token, options: TrafficOptions, created: list[Created]) -> None:
        """Take the token to begin with; `created` grows with every answer."""
        self._target = context.target
        self._run_log = context.run_log
        self._screen = context.screen
        self._token = token
        self._gateway = Gateway(context.target.gateway, token.value, timeout_s=min(options.timeout_s, _ANSWER_S))
        self._options = options
        self._created = created
        self._pace = Pace(options.rate)

    def leads(self) -> StepOutput[None]:
        """Create the leads, each with an e-mail address of its own, as the API asks for."""

        def send(gateway: Gateway, number: int) -> EntityAnswer:
            return gateway.create_lead(
                name=f"Grafana Event Test {number}", email=self._email(number), source="dashboard-test"
            )

        return self._send("lead", self._options.leads, self._target.kafka.lead_topic, send, self._email)

    def jobs(self) -> StepOutput[None]:
        """Create the jobs, on the leads of this run in turn."""
        lead_ids = [entity.id for entity in self._created if entity.kind == "lead"]

        def send(gateway: Gateway, number: int) -> EntityAnswer:
            return gateway.create_job(
                lead_id=lead_ids[(number - 1) % len(lead_ids)],
                title=self._title(number),
                status="Open",
                description="Testing job events visualization",
            )

        return self._send("job", self._options.jobs, self._target.kafka.job_topic, send, self._title)

    def _renewed_gateway(self) -> Gateway:
        """Return the gateway with a token that lives on for a while: a long run outlives one token."""
        end = self._token.expires_at
        if end and end - datetime.now(UTC) < _TOKEN_LEFT:
            self._token = Keycloak(self._target.keycloak, answer_s(self._options.timeout_s)).token()
            self._gateway.close()
            self._gateway = Gateway(
                self._target.gateway, self._token.value, timeout_s=min(self._options.timeout_s, _ANSWER_S)
            )
        return self._gateway

    def _email(self, number: int) -> str:
        return f"grafana{number}+{self._run_log.run_id}@test.com"

    def _title(self, number: int) -> str:
        return f"Dashboard Test Job {number} {self._run_log.run_id}"

    def _send(
        self,
        kind: EntityKind,
        total: int,
        topic: str,
        send: Callable[[Gateway, int], EntityAnswer],
        label: Callable[[int], str],
    ) -> StepOutput[None]:
        for number in range(1, total + 1):
            self._pace.wait_for_turn()
            gateway = self._renewed_gateway()
            with uninterrupted():
                with _counted(kind, number, total, self._created):
                    answer = send(gateway, number)
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
                self._created.append(entity)
                self._run_log.append("created", entity)
            self._screen.progresses(f"{kind}s", number, total)
        noun = kind if total == 1 else f"{kind}s"
        reason = f"created {total} {noun}: id {_ids(kind, self._created)}" if total else f"no {noun} asked for"
        return StepOutput(value=None, outcome="ok", reason=reason)


@contextmanager
def _counted(kind: EntityKind, number: int, total: int, created: list[Created]) -> Iterator[None]:
    """Say in the error of one request what exists already."""
    try:
        yield
    except RunbookError as error:
        fate = "was not created" if _is_refusal(error) else "may have been created or not"
        so_far = _ids(kind, created) or "none"
        error.seen = f"{kind} {number} of {total} {fate}: {error.seen} (created so far: {so_far})"
        raise


def _is_refusal(error: RunbookError) -> bool:
    """Say whether it is certain that nothing was created: the request was refused, or never arrived."""
    if isinstance(error, UnreachableError):
        return error.reason in {"refused", "dns"}
    if isinstance(error, ProtocolError):
        return error.reason != "not_http"
    return isinstance(error, AnswerError) and error.status // 100 == _CLIENT_ERROR


def _ids(kind: EntityKind, created: list[Created]) -> str:
    ids = [str(entity.id) for entity in created if entity.kind == kind]
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return ", ".join(ids[:_SHOWN_IDS]) + more
