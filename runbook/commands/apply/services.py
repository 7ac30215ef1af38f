"""The two services that read the files: found, made to read them again, and waited for.

Grafana reads by a restart, Prometheus by a reload where that is known to be enough. `POST /-/reload` answers 200 also
when the container still holds the old file: a single-file bind mount follows the inode, and whoever replaced the file
by renaming made a new one (moby#22627). So the file is compared first as it is inside. A restart with a rules file
that Prometheus rejects ends it: no restart without a look at the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from runbook.commands.apply.proofs import Proof, Served
from runbook.commands.task_run import StepOutput
from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.files.file_change import Kind
from runbook.files.file_io import read_document
from runbook.files.rules_validity import rules_problem
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime, Service
from runbook.waiting import Impossible, Pending, wait_until
from runbook.wording import fingerprint, pasteable

_STOP_S: Final = 30.0
"""Seconds from SIGTERM to SIGKILL at a restart: Prometheus writes its head block in that time."""

_HOPELESS_RESTARTS: Final = 3
"""So many restarts by a container's own restart policy, since it was started by hand, and it will not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inside:
    """The rules file inside Prometheus's container: whether it is known to be the one of this host."""

    is_current: bool
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Grafana and Prometheus of one target, each called by the kind of file that it reads.

    `timeout_s` bounds each wait for a state.
    """

    target: Target
    runtime: Runtime
    timeout_s: float

    def meant(self, kind: Kind) -> Service:
        """Return the service that reads such a file, as the settings name it."""
        return self.target.prometheus.as_service if kind == "rules" else self.target.grafana.as_service

    def found(self, kind: Kind) -> Service:
        """Return the service with the container that it has: what is restarted later is this one.

        Raises RunbookError unless the runtime can be asked for it, knows it, and would restart it.
        """
        service = self.meant(kind)
        state = self.runtime.state(service)
        if not state.found:
            near = ", ".join(state.nearest) or "none is similar"
            raise RunbookError(
                f"There is no {service.container} to restart (nearest: {near})",
                where=f"service {service.name} of target {self.target.name}",
                fix=f"{self.runtime.start_command(service)}, or set {service.setting} to the name of its container",
            )
        found = replace(service, container=state.name)
        self._check_restart(found)
        return found

    def _check_restart(self, service: Service) -> None:
        try:
            self.runtime.check_restart(service)
        except AnswerError as error:
            by_hand = f"or add --no-restart, then {self.runtime.start_command(service)}"
            fix = f"{error.fix}; {by_hand}"
            raise RunbookError(f"{error.seen}; nothing was written", where=error.where, fix=fix) from None

    def verb(self, kind: Kind) -> str:
        """Return what is done to the service of a kind of file, for the name of the step."""
        return "reload" if kind == "rules" else "restart"

    def plan(self, kind: Kind, service: Service) -> str:
        """Return what will be done to a found service: `restart aether-grafana`."""
        return f"{'reload (or else restart)' if kind == 'rules' else 'restart'} {service.container}"

    def reread(self, kind: Kind, service: Service, path: Path) -> StepOutput[None]:
        """Have a found service read the file `path` of this host; return once it was told. Raises RunbookError."""
        return self._reloaded(service, path) if kind == "rules" else self._restarted(service)

    def proven(self, service: Service, proof: Proof) -> StepOutput[None]:
        """Wait until a service serves what a proof wants.

        Raises WaitError when the time is over, or when the service has exited meanwhile.
        """

        def probe() -> Served | Pending | Impossible:
            try:
                served = proof.look()
            except RunbookError as error:
                return self._silent(service, error)
            return served if served.is_served else Pending(served.saw)

        fix = f"{self.runtime.log_command(service)}, then {inv('troubleshoot')}"
        served = wait_until(probe, what=proof.what, deadline_s=self.timeout_s, where=proof.url, fix=fix, every_s=0.2)
        evidence = (Evidence(source=f"GET {proof.url}", saw=served.saw), *served.also)
        return StepOutput(value=None, outcome="ok", reason=served.saw, evidence=evidence)

    def _silent(self, service: Service, error: RunbookError) -> Pending | Impossible:
        """A service that does not answer may be starting; one that has exited will not come."""
        state = self.runtime.state(service)
        if state.status in {"exited", "dead"}:
            return Impossible(f"{service.container} has exited with code {state.exit_code}")
        if state.restart_count >= _HOPELESS_RESTARTS:
            return Impossible(f"{service.container} keeps exiting, last with code {state.exit_code}")
        return Pending(error.seen)

    def _restarted(self, service: Service) -> StepOutput[None]:
        self.runtime.restart(service, timeout_s=_STOP_S)
        return StepOutput(value=None, outcome="changed", reason=f"{service.container} has been restarted")

    def _reloaded(self, service: Service, path: Path) -> StepOutput[None]:
        """Reload Prometheus, and restart it if that cannot have reached the file.

        The reload goes first in any case: 500 means that it refuses its files, and a restart would end it.
        """
        settings = self.target.prometheus
        inside = self._inside(service, path)
        answered = self._reload()
        seen = (
            Evidence(source=f"{settings.rules_inside} in {service.container}", saw=inside.saw),
            Evidence(source=f"POST {settings.url}/-/reload", saw=answered or "no answer"),
        )
        if inside.is_current and answered == str(HTTPStatus.OK.value):
            reason = f"{service.container} has reloaded its files; the rules file inside is that of this host"
            return StepOutput(value=None, outcome="changed", reason=reason, evidence=seen)
        self._must_be_acceptable(path)
        why = f"a reload is not available ({answered or 'no answer'})" if inside.is_current else inside.saw
        reason = f"{self._restarted(service).reason}: {why}"
        return StepOutput(value=None, outcome="changed", reason=reason, evidence=seen)

    def _inside(self, service: Service, path: Path) -> _Inside:
        """Compare by hash; what cannot be read inside is not known to be current."""
        wanted = read_document(path)
        try:
            found = self.runtime.file_inside(service, self.target.prometheus.rules_inside)
        except RunbookError as error:
            return _Inside(is_current=False, saw=f"the file inside cannot be read ({error.seen})")
        if found is None:
            return _Inside(is_current=False, saw="there is no such file inside (R_NOT_MOUNTED)")
        if found != wanted:
            return _Inside(is_current=False, saw=f"another file is inside (R_STALE_INODE): {fingerprint(found)}")
        return _Inside(is_current=True, saw=f"the same as on this host: {fingerprint(found)}")

    def _reload(self) -> str:
        """The status of a reload; nothing from a Prometheus that does not answer. Raises RunbookError on a refusal."""
        settings = self.target.prometheus
        try:
            answer = Prometheus(settings, answer_s(self.timeout_s)).reload()
        except UnreachableError:
            return ""
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise RunbookError(
                f"Prometheus refuses its files, so it was not restarted: {answer.body}",
                where=f"POST {settings.url}/-/reload",
                fix="run promtool check rules on its rules files: the mistake may be older than this change",
            )
        return str(answer.status)

    def _must_be_acceptable(self, path: Path) -> None:
        """Raise RunbookError for a file that Prometheus would die of, by promtool or by our own reading."""
        problem = rules_problem(read_document(path), self.target.prometheus.promtool)
        if problem:
            raise RunbookError(
                f"Prometheus would refuse the rules file, so it was not restarted: {problem}",
                where=pasteable(path),
                fix=f"promtool check rules {pasteable(path)}",
            )


def reload_plan(services: Services, readers: Mapping[Kind, Service]) -> str:
    """Say what will be done to found services: `restart aether-grafana and reload (or else restart) aether-prom`."""
    return " and ".join(services.plan(kind, service) for kind, service in readers.items())
