"""Silence the runbook's alert for a while, and end such silences: an author, a reason and an end are never left out."""

import getpass
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbook.commands.task_run import StepOutput, TaskRun
from runbook.durations import parsed_duration
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.listings import Listing, Silenced, SilenceState
from runbook.model import Evidence, TaskResult
from runbook.names import ALERT
from runbook.observer import Observer
from runbook.runs.run_log import RunLog
from runbook.settings import Target
from runbook.systems.alertmanager.client import Alertmanager, Matcher, Silence
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.waiting import Pending, wait_until
from runbook.wording import moment

LONGEST_S = 7 * 86400
_MARK = " (inv silence)"  # at the end of the comment: how unsilence knows what this tool made
_SERVED_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceOptions:
    """Which alert is silenced, by whom, why, and for how long (`2h`)."""

    reason: str
    duration: str = "2h"
    author: str = ""
    alert: str = ALERT

    def __post_init__(self) -> None:
        """Refuse a silence that the next operator could not understand."""
        if not self.reason.strip():
            raise UsageError("A silence needs a reason", where="option --reason", fix='inv silence --reason "..."')
        parsed_duration(self.duration, option="--duration", most_s=LONGEST_S)

    @property
    def duration_s(self) -> int:
        """The length in seconds."""
        return parsed_duration(self.duration, option="--duration", most_s=LONGEST_S)


def silence(target: Target, options: SilenceOptions, *, record: RunLog, observer: Observer) -> TaskResult:
    """Silence the alert and wait until Alertmanager lists the silence as active.

    Safe to repeat: a silence of this tool that lasts at least as long is left as it is.
    """
    task_run = TaskRun("silence", target=target.name, record=record, observer=observer)
    return _framed(task_run, "silence", lambda: _silenced(target.alertmanager, options))


def unsilence(
    target: Target, *, record: RunLog, observer: Observer, alert: str = ALERT, silence_id: str | None = None
) -> TaskResult:
    """End the silences that this tool made on the alert, or the one of that id, whoever made it."""
    task_run = TaskRun("unsilence", target=target.name, record=record, observer=observer)
    return _framed(task_run, "unsilence", lambda: _unsilenced(target.alertmanager, alert, silence_id))


def silences(target: Target, *, record: RunLog, observer: Observer, alert: str = ALERT) -> TaskResult:
    """List the silences that hold back the alert now, whoever made them."""
    task_run = TaskRun("silence", target=target.name, record=record, observer=observer)

    def listed() -> StepOutput[tuple[Silenced, ...]]:
        found = tuple(_shown(one) for one in _on(alert, Alertmanager(target.alertmanager)))
        return StepOutput(value=found, outcome="ok", reason=f"in force on {alert}: {len(found)}")

    return _framed(task_run, "list", listed)


def _framed(task_run: TaskRun, name: str, work: Callable[[], StepOutput[tuple[Silenced, ...]]]) -> TaskResult:
    try:
        done = task_run.step(name, 0, work)
    except RunbookError as error:
        return task_run.failure(error)
    outcome = task_run.steps[-1].outcome
    return Listing.of(task_run.result(outcome, ExitCode.OK), silences=done)


def _silenced(settings: AlertmanagerSettings, options: SilenceOptions) -> StepOutput[tuple[Silenced, ...]]:
    alertmanager = Alertmanager(settings)
    ends_at = datetime.now(UTC) + timedelta(seconds=options.duration_s)
    for earlier in _on(options.alert, alertmanager):
        if earlier.comment.endswith(_MARK) and earlier.ends_at >= ends_at:
            reason = f"{options.alert} is silenced already until {moment(earlier.ends_at)}"
            return StepOutput(value=(_shown(earlier),), outcome="unchanged", reason=reason, evidence=(_seen(earlier),))
    silence_id = alertmanager.silence(
        (Matcher(name="alertname", value=options.alert),),
        author=options.author.strip() or _user(),
        comment=options.reason.strip() + _MARK,
        ends_at=ends_at,
    )
    made = _active(alertmanager, silence_id, settings.url)
    reason = f"{options.alert} is silenced until {moment(made.ends_at)}, id {made.id}"
    return StepOutput(value=(_shown(made),), outcome="changed", reason=reason, evidence=(_seen(made),))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name; KeyError before Python 3.13
        raise UsageError("A silence needs an author", where="option --author", fix="give your name") from None


def _active(alertmanager: Alertmanager, silence_id: str, url: str) -> Silence:
    def probe() -> Silence | Pending:
        found = alertmanager.silences()
        return next((one for one in found if one.id == silence_id), Pending(f"{len(found)} others are active"))

    return wait_until(
        probe,
        what=f"The silence {silence_id}",
        deadline_s=_SERVED_S,
        where=f"GET {url}/api/v2/silences",
        fix=f"inv unsilence --id {silence_id}, then inv silence again",
    )


def _unsilenced(settings: AlertmanagerSettings, alert: str, silence_id: str | None) -> StepOutput[tuple[Silenced, ...]]:
    alertmanager = Alertmanager(settings)
    chosen = _of_id(alertmanager, silence_id, settings) if silence_id else _made_here(alert, alertmanager)
    for one in chosen:
        alertmanager.expire(one.id)
    if not chosen:
        others = len(_on(alert, alertmanager))
        reason = f"no silence of this tool holds back {alert}"
        return StepOutput(
            value=(), outcome="unchanged", reason=f"{reason}; made by others: {others}" if others else reason
        )
    ended = tuple(_shown(one, state="expired", ends_at=datetime.now(UTC)) for one in chosen)
    reason = f"ended {', '.join(one.id for one in chosen)}"
    return StepOutput(value=ended, outcome="changed", reason=reason, evidence=tuple(_seen(one) for one in chosen))


def _of_id(alertmanager: Alertmanager, silence_id: str, settings: AlertmanagerSettings) -> tuple[Silence, ...]:
    found = tuple(one for one in alertmanager.silences(active_only=False) if one.id == silence_id)
    if not found or found[0].state == "expired":
        state = "has ended already" if found else "is unknown"
        where = f"GET {settings.url}/api/v2/silences"
        raise RunbookError(
            f"The silence {silence_id} {state}", where=where, fix="inv silence --list shows those in force"
        )
    return found


def _made_here(alert: str, alertmanager: Alertmanager) -> tuple[Silence, ...]:
    return tuple(one for one in _on(alert, alertmanager) if one.comment.endswith(_MARK))


def _on(alert: str, alertmanager: Alertmanager) -> tuple[Silence, ...]:
    return tuple(one for one in alertmanager.silences() if one.matches({"alertname": alert}))


def _seen(one: Silence) -> Evidence:
    return Evidence(source=f"silence {one.id}", saw=f"{one.state} until {moment(one.ends_at)}, by {one.author}")


def _shown(one: Silence, *, state: SilenceState = "active", ends_at: datetime | None = None) -> Silenced:
    return Silenced(
        id=one.id,
        alert=", ".join(matcher.value for matcher in one.matchers if matcher.name == "alertname"),
        author=one.author,
        reason=one.comment.removesuffix(_MARK),
        state=state,
        ends_at=ends_at or one.ends_at,
    )
