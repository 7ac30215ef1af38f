"""Let a service read its file again: Grafana by a restart, Prometheus by a reload where that is known to be enough.

`POST /-/reload` answers 200 also when the container still holds the old file: a single-file bind mount follows the
inode, and whoever replaced the file by renaming made a new one (moby#22627). So the file is compared first as it is
inside. A restart with a rules file that Prometheus rejects ends it: no restart without a look at the file.
"""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from runbook.commands.apply.services import Services
from runbook.commands.task_run import StepOutput
from runbook.errors import RunbookError, UnreachableError
from runbook.files.file_io import read_document
from runbook.files.rules_validity import rules_problem
from runbook.model import Evidence
from runbook.settings import Target
from runbook.systems.http import shown_url
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime, Service
from runbook.wording import fingerprint

_STOP_S = 30.0
"""Seconds from SIGTERM to SIGKILL at a restart: Prometheus writes its head block in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inside:
    """The rules file inside Prometheus's container: whether it is known to be the one of this host."""

    is_current: bool
    saw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rereading:
    """The two services of a target, told to read their files."""

    target: Target
    runtime: Runtime
    services: Services

    def reread(self, service: Service, path: Path) -> StepOutput[None]:
        """Have `service` read the file `path` of this host; return once it was told. Raises RunbookError."""
        return self._reloaded(path) if service == self.services.prometheus else self._restarted(service)

    def _reloaded(self, path: Path) -> StepOutput[None]:
        """Reload Prometheus, and restart it if that cannot have reached the file.

        The reload goes first in any case: 500 means that it refuses its files, and a restart would end it.
        """
        service, settings = self.services.prometheus, self.target.prometheus
        inside = self._inside(path)
        answered = self._reload()
        seen = (
            Evidence(source=f"{settings.rules_inside} in {service.container}", saw=inside.saw),
            Evidence(source=f"POST {shown_url(settings.url)}/-/reload", saw=answered or "no answer"),
        )
        if inside.is_current and answered == str(HTTPStatus.OK.value):
            reason = f"{service.container} has reloaded; inside is the file of this host"
            return StepOutput(value=None, outcome="changed", reason=reason, evidence=seen)
        self._must_be_acceptable(path)
        why = f"a reload is not to be had ({answered or 'no answer'})" if inside.is_current else inside.saw
        reason = f"{self._restarted(service).reason}: {why}"
        return StepOutput(value=None, outcome="changed", reason=reason, evidence=seen)

    def _restarted(self, service: Service) -> StepOutput[None]:
        self.runtime.restart(service, timeout_s=_STOP_S)
        return StepOutput(value=None, outcome="changed", reason=f"{service.container} has been restarted")

    def _inside(self, path: Path) -> _Inside:
        """Compare by hash; what cannot be read inside is not known to be current."""
        service, wanted = self.services.prometheus, read_document(path)
        try:
            found = self.runtime.file_inside(service, self.target.prometheus.rules_inside)
        except RunbookError as error:
            return _Inside(is_current=False, saw=f"not readable inside ({error.seen})")
        if found is None:
            return _Inside(is_current=False, saw="no such file inside (R_NOT_MOUNTED)")
        if found != wanted:
            return _Inside(is_current=False, saw=f"inside is another file (R_STALE_INODE): {fingerprint(found)}")
        return _Inside(is_current=True, saw=f"the file of this host: {fingerprint(found)}")

    def _reload(self) -> str:
        """The status of a reload; nothing from a Prometheus that does not answer. Raises RunbookError on a refusal."""
        settings = self.target.prometheus
        try:
            answer = Prometheus(settings).reload()
        except UnreachableError:
            return ""
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise RunbookError(
                f"Prometheus refuses its files, so it was not restarted: {answer.body}",
                where=f"POST {shown_url(settings.url)}/-/reload",
                fix="promtool check rules on the rules files names the place; it may be older than this change",
            )
        return str(answer.status)

    def _must_be_acceptable(self, path: Path) -> None:
        """Raise RunbookError for a file that Prometheus would die of, by promtool or by our own reading."""
        problem = rules_problem(read_document(path), self.target.prometheus.promtool)
        if problem:
            raise RunbookError(
                f"Prometheus would refuse the rules file, so it was not restarted: {problem}",
                where=str(path),
                fix=f"promtool check rules {path}",
            )
