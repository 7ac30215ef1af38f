"""A system that does not answer is waited for: it may be starting again."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Final, TypeVar

from runbook.errors import RunbookError, UnreachableError
from runbook.settings import Target
from runbook.systems.runtime import Runtime, Service
from runbook.systems.sink.client import Sink
from runbook.waiting import watch

T = TypeVar("T")

_EVERY_S: Final = 0.5
_RESTART_S: Final = 10.0
"""So long a service that has ended may take to be started again."""

_ANSWER_S: Final = 3.0


class Reached:
    """Looks at systems that may be away for a moment. One that stayed away once is not waited for again."""

    def __init__(self, runtime: Runtime, timeout_s: float) -> None:
        """Keep who knows which service has ended, and how long each look may wait."""
        self._runtime = runtime
        self._timeout_s = timeout_s
        self._away: set[str] = set()

    def look(self, service: Service, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raises UnreachableError when the time is over and nobody answers still."""
        began = datetime.now(UTC)

        def once() -> tuple[T | UnreachableError, bool]:
            try:
                return work(), True
            except UnreachableError as error:
                return error, self._is_away(service, (datetime.now(UTC) - began).total_seconds())

        found, _ = watch(once, deadline_s=self._timeout_s, every_s=_EVERY_S)
        if isinstance(found, UnreachableError):
            self._away.add(service.name)
            raise found
        return found

    def _is_away(self, service: Service, waited_s: float) -> bool:
        return service.name in self._away or (waited_s > _RESTART_S and has_ended(self._runtime, service))


def has_ended(runtime: Runtime, service: Service) -> bool:
    """Whether a service is known to have ended."""
    try:
        return runtime.state(service).is_stopped
    except RunbookError:
        return False


def sink_has_ended(runtime: Runtime, target: Target) -> bool:
    """Whether the sink has ended, so that it writes and counts no more; one that answers may run where nobody sees."""
    if not has_ended(runtime, target.sink.as_service):
        return False
    try:
        with closing(Sink(target.sink, _ANSWER_S)) as sink:
            sink.page()
    except UnreachableError:
        return True
    except RunbookError:
        return False
    return False
