"""The frozen records that every room speaks in. They hold facts and decisions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

StepOutcome = Literal["changed", "unchanged", "ok", "failed", "not_checked", "rolled_back"]
Sight = Literal["ok", "failed", "not_checked"]
CheckStatus = Literal["ok", "broken", "blocked", "not_checked"]
VerdictOutcome = Literal["healthy", "fault", "inconclusive"]
EntityKind = Literal["lead", "job"]
ServiceKind = Literal["real", "stand-in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observation: `source` says where it was made (`GET :9090/api/v1/targets`), `saw` quotes it."""

    source: str
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one visible step of a task came to. `number` is the runbook's own step number, 0-6."""

    step: str
    number: int
    outcome: StepOutcome
    reason: str
    evidence: tuple[Evidence, ...] = ()
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One of the runbook's five success criteria, with what was seen."""

    number: int
    claim: str
    outcome: Sight
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A lead or job as the API answered it, written to the record before the next request is sent."""

    kind: EntityKind
    id: int
    tenant_id: str
    topic: str
    label: str
    sent_at: datetime
    answered_at: datetime
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HopSight:
    """One event seen at one hop of the flow; `at` is None where the hop gives no time of its own."""

    hop: str
    outcome: Sight
    saw: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One created entity and its event, hop by hop from the API's answer to the panel."""

    created: Created
    hops: tuple[HopSight, ...]

    @property
    def outcome(self) -> Sight:
        """Proven only if every hop saw the event; a hop that was not checked is never ok."""
        seen = {hop.outcome for hop in self.hops}
        if "failed" in seen or not seen:
            return "failed"
        return "not_checked" if "not_checked" in seen else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSum:
    """The sum of one series: events of this run plus events of others must equal the counter's delta.

    `source` says whose counter it is: the sink's own page, or Prometheus's raw samples. `ours` and `others` are
    counted in Kafka between the two positions that came together with the two counter values; `delta` is the
    difference of those values. None means: could not be read.
    """

    source: str
    topic: str
    tenant_id: str
    ours: int
    others: int | None
    delta: int | None

    @property
    def outcome(self) -> Sight:
        """Closed only if every figure was read and they agree."""
        if self.others is None or self.delta is None:
            return "not_checked"
        return "ok" if self.ours + self.others == self.delta else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every entity of one traffic run followed through the flow."""

    run_id: str
    rows: tuple[LedgerRow, ...]
    sums: tuple[LedgerSum, ...] = ()

    @property
    def proven(self) -> int:
        """How many rows were seen at every hop."""
        return sum(row.outcome == "ok" for row in self.rows)

    @property
    def outcome(self) -> Sight:
        """The worst of all rows and sums; an empty ledger proves nothing."""
        seen = {row.outcome for row in self.rows} | {total.outcome for total in self.sums}
        if "failed" in seen or not self.rows:
            return "failed"
        return "not_checked" if "not_checked" in seen else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One claim of the flow and what became of it; `by` names the broken check that blocks it."""

    code: str
    hop: str
    claim: str
    status: CheckStatus
    by: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first broken hop, or none. `code` may explain a healthy pipeline too (A_IDLE: no traffic).

    `not_exercised` are the checks of boundaries that nothing crossed: healthy says nothing of them.
    """

    outcome: VerdictOutcome
    code: str = ""
    claim: str = ""
    evidence: tuple[Evidence, ...] = ()
    fix: str = ""
    not_exercised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The error that ended a task, in the three parts that an operator reads."""

    seen: str
    where: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service of a local stack: `plays` names the program, `detail` what differs from production or is wrong."""

    name: str
    plays: str
    kind: ServiceKind
    running: bool
    pid: int | None
    address: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a service's output; `at` is None where the runtime does not say when it came."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command came to: the one object behind the screen, `--json`, the run log and the exit code.

    Each command adds its own fields; `views` in its view.py says how they are shown.
    """

    task: str
    target: str
    run_id: str
    started_at: datetime
    duration_s: float
    outcome: str
    exit_code: int
    steps: tuple[StepResult, ...]
    problem: Problem | None = None
