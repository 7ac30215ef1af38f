"""The local stack as somebody who is hurt and healed: every change is remembered before it is made."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.files.writing import read_document, write_document
from runbook.local_stack import stack
from runbook.local_stack.layout import Layout
from runbook.model import Created, EntityKind
from runbook.names import COUNTER
from runbook.runs.run_log import RunLog, all_runs, begin_run
from runbook.settings import LOCAL, STATE_DIR, Target
from runbook.systems.alertmanager.client import Alertmanager, Matcher
from runbook.systems.gateway.client import EntityAnswer, Gateway
from runbook.systems.keycloak.client import Keycloak
from runbook.systems.processes.launcher import Launcher, write_private
from runbook.systems.prometheus.client import Prometheus
from runbook.waiting import Pending, wait_until

_READY_S = 30.0
_SILENCED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """One thing that was done and how it is undone.

    `stop` is a part that runs changed: stopped, it comes back as planned. `path` was `before` and is `after`.
    `silence` is an id to expire; `sends` means that only new traffic heals it.
    """

    what: str
    stop: str = ""
    path: str = ""
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)
    silence: str = ""
    sends: bool = False


class Patient:
    """One local stack. Its methods hurt it, `heal` undoes what they did; all raise RunbookError."""

    def __init__(self, directory: Path, target: Target) -> None:
        """Take the working directory and the settings of target `local`; read what was done to it before."""
        self.directory = directory
        self.target = target
        self.layout = Layout.of(directory)
        self._launcher = Launcher(self.layout.root)
        self._memory = self.layout.root / "fault.json"
        self._harms = self._remembered()

    @property
    def needs_traffic(self) -> bool:
        """Whether something was done that only new traffic heals."""
        return any(harm.sends for harm in self._harms)

    # To hurt

    def kill(self, name: str) -> str:
        """End a part with SIGKILL; `stack.up` starts whatever is down."""
        self._remember(Harm(what=f"killed {name}"))
        stack.stop_part(self.directory, name, kill=True)
        return f"{name} was killed"

    def restart(self, name: str, environment: Mapping[str, str], *, wait: bool = True) -> None:
        """Start a part anew, with these variables changed, and `wait` until it is ready."""
        self._remember(Harm(what=f"started {name} anew", stop=name))
        stack.start_part(self.directory, name, extra_env=environment)
        if wait:
            self._until_ready(name)

    def run_instead(self, name: str, module: str) -> None:
        """Put another Python module in the place of a part that is one."""
        self._remember(Harm(what=f"ran {module} as {name}", stop=name))
        record = self._launcher.record(name)
        if record is None:
            raise RunbookError(f"{name} was never started", where=str(self.layout.root), fix="inv stack.up")
        python, flag, *_ = record.launch.command
        stack.stop_part(self.directory, name)
        self._launcher.start(name, replace(record.launch, command=(python, flag, module)))

    def rewrite(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        """Change a file of the copied installation, in place."""
        before = read_document(path)
        after = change(before)
        self._remember(Harm(what=f"changed {path.name}", path=str(path), before=before, after=after))
        write_document(path, before, after)

    def reload(self) -> None:
        """Let Prometheus read its files again; a refusal (500) is what some faults are about."""
        Prometheus(self.target.prometheus).reload()

    def silence(self, alert: str) -> str:
        """Silence an alert for an hour."""
        silence_id = Alertmanager(self.target.alertmanager).silence(
            [Matcher(name="alertname", value=alert)],
            author="inv stack.break",
            comment="for practice",
            ends_at=datetime.now(UTC) + _SILENCED_FOR,
        )
        self._remember(Harm(what=f"silenced {alert}", silence=silence_id))
        return f"{alert} is silenced: {silence_id}"

    def send_wave(self) -> None:
        """Create one lead and one job, recorded as a traffic run."""
        gateway, record = self._gateway(), self._traffic_record(leads=1, jobs=1)
        lead = gateway.create_lead(name="Practice", email=f"practice+{record.run_id}@test.com", source="stack.break")
        self._created(record, "lead", lead)
        job = gateway.create_job(lead_id=lead.id, title="Practice", status="Open", description="stack.break")
        self._created(record, "job", job)

    def send_twice(self) -> str:
        """Do what the runbook's loop does when it is run a second time: the same e-mail again, and a 409."""
        gateway, record = self._gateway(), self._traffic_record(leads=2, jobs=0)
        email = f"grafana1+{record.run_id}@test.com"
        self._remember(Harm(what=f"created {email} twice", sends=True))
        for _ in range(2):
            try:
                lead = gateway.create_lead(name="Grafana Event Test 1", email=email, source="dashboard-test")
                self._created(record, "lead", lead)
            except AnswerError as error:
                problem = {"seen": error.seen, "where": error.where, "fix": error.fix, "status": error.status}
                record.append("problem", {"code": "GW_DUPLICATE", **problem})
        return f"run {record.run_id} ended with 409"

    def empty_prometheus(self) -> None:
        """Take its samples from Prometheus, so that no earlier series hides how a new one is born."""
        self._remember(Harm(what="emptied Prometheus's database", sends=True))
        stack.stop_part(self.directory, "prometheus")
        shutil.rmtree(self.layout.data / "prometheus")
        stack.start_part(self.directory, "prometheus")
        self._until_ready("prometheus")

    def until_counted(self, at_least: int) -> None:
        """Wait until Prometheus has scraped the sink as it runs now, with so many series of the counter."""
        since, prometheus = datetime.now(UTC), Prometheus(self.target.prometheus)

        def counted() -> bool | Pending:
            mine = [one for one in prometheus.targets() if one.job == self.target.prometheus.job]
            scraped = [one for one in mine if one.health == "up" and one.last_scrape and one.last_scrape > since]
            series = prometheus.query(COUNTER)
            said = f"targets {[(one.health, one.last_error) for one in mine]}, {len(series)} series"
            return (bool(scraped) and len(series) >= at_least) or Pending(said)

        wait_until(
            counted,
            what=f"A scrape of the sink with {at_least} series",
            deadline_s=_READY_S,
            where=self.target.prometheus.url,
            fix="inv stack.mend",
        )

    # To heal

    def heal(self) -> tuple[str, ...]:
        """Undo everything, the last first; what runs changed is stopped, and `stack.up` starts it as planned."""
        for harm in reversed(self._harms):
            if harm.path:
                _put_back(harm)
            if harm.silence:
                with suppress(AnswerError, UnreachableError):  # expired, or gone with Alertmanager: it is undone
                    Alertmanager(self.target.alertmanager).expire(harm.silence)
            if harm.stop:
                stack.stop_part(self.directory, harm.stop)
        if any(harm.path for harm in self._harms):
            with suppress(UnreachableError):  # it is down, and reads the files when `stack.up` starts it
                self.reload()
        return tuple(harm.what for harm in self._harms)

    def forget(self) -> None:
        """Remove the memory: everything is undone."""
        self._memory.unlink(missing_ok=True)

    # How

    def _remembered(self) -> tuple[Harm, ...]:
        try:
            return msgspec.json.decode(self._memory.read_bytes(), type=tuple[Harm, ...])
        except FileNotFoundError:
            return ()

    def _remember(self, harm: Harm) -> None:
        self._harms = (*self._harms, harm)
        write_private(self._memory, msgspec.json.encode(self._harms))

    def _until_ready(self, name: str) -> None:
        def ready() -> bool | Pending:
            part = next(part for part in stack.status(self.directory) if part.name == name)
            return (part.running and "not ready" not in part.detail) or Pending(part.detail)

        wait_until(
            ready,
            what=name,
            deadline_s=_READY_S,
            where=str(self._launcher.log_file(name)),
            fix="inv stack.mend",
        )

    def _gateway(self) -> Gateway:
        return Gateway(self.target.gateway, Keycloak(self.target.keycloak).token().value)

    def _traffic_record(self, *, leads: int, jobs: int) -> RunLog:
        """Begin a record in a second of its own: run ids are in order by the second only."""
        before = all_runs(self.directory / STATE_DIR)
        last = before[-1].run_id if before else ""

        def begun() -> bool | Pending:
            return f"{datetime.now(UTC):%Y%m%d-%H%M%S}" > last or Pending(last)

        wait_until(begun, what="The next second", deadline_s=_READY_S, where=str(self.directory), fix="set the clock")
        record = begin_run(self.directory / STATE_DIR, task="stack.break", target=LOCAL)
        record.append("traffic", {"leads": leads, "jobs": jobs, "rate": None})
        return record

    def _created(self, record: RunLog, kind: EntityKind, answer: EntityAnswer) -> None:
        kafka = self.target.kafka
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
        record.append("created", created)


def _put_back(harm: Harm) -> None:
    """Restore a file, unless somebody has repaired it in the meantime."""
    path = Path(harm.path)
    if read_document(path) == harm.after:
        write_document(path, harm.after, harm.before)
