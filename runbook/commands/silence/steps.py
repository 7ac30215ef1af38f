"""Silence the runbook's alert for a while, and end such silences: an author, a reason and an end are never left out."""

import getpass
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runbook.commands.run_context import RunContext
from runbook.commands.silence.options import SilenceOptions, UnsilenceOptions
from runbook.commands.silence.result import Silenced, SilenceResult, SilenceState
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.durations import parsed_duration
from runbook.errors import ExitCode, RunbookError, UsageError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import ALERT
from runbook.systems.alertmanager.client import Alertmanager, Matcher, Silence
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.waiting import Pending, wait_until
from runbook.wording import moment

LONGEST_S = 7 * 86400
_MARK = " (inv silence)"  # at the end of the comment: how unsilence knows what this tool made
_SERVED_S = 10.0


def silence(context: RunContext, options: SilenceOptions) -> SilenceResult:
    """Silence the alert and wait until Alertmanager lists the silence as active.

    Safe to repeat: a silence of this tool that lasts at least as long is left as it is. Raises UsageError for a
    silence that the next operator could not understand.
    """
    if not options.reason.strip():
        raise UsageError("A silence needs a reason", where="option --reason", fix=inv('silence --reason "..."'))
    duration_s = parsed_duration(options.duration, option="--duration", most_s=LONGEST_S)
    return _carried_out("silence", context, lambda: _silenced(context.target.alertmanager, options, duration_s))


def unsilence(context: RunContext, options: UnsilenceOptions) -> SilenceResult:
    """End the silences that this tool made on the alert, or the one of that id, whoever made it."""
    return _carried_out("unsilence", context, lambda: _unsilenced(context.target.alertmanager, options.silence_id))


def _carried_out(name: str, context: RunContext, work: Callable[[], StepOutput[tuple[Silenced, ...]]]) -> SilenceResult:
    task_run = TaskRun(name, context)
    try:
        silences = task_run.step(name, 0, work)
    except RunbookError as error:
        return task_run.failure(SilenceResult, error)
    return replace(task_run.result(SilenceResult, task_run.steps[-1].outcome, ExitCode.OK), silences=silences)


def _silenced(
    settings: AlertmanagerSettings, options: SilenceOptions, duration_s: int
) -> StepOutput[tuple[Silenced, ...]]:
    alertmanager = Alertmanager(settings)
    ends_at = datetime.now(UTC) + timedelta(seconds=duration_s)
    for earlier in _on_alert(alertmanager):
        if earlier.comment.endswith(_MARK) and earlier.ends_at >= ends_at:
            reason = f"{ALERT} is silenced already until {moment(earlier.ends_at)}"
            return StepOutput(value=(_shown(earlier),), outcome="unchanged", reason=reason, evidence=(_seen(earlier),))
    silence_id = alertmanager.silence(
        (Matcher(name="alertname", value=ALERT),),
        author=options.author.strip() or _user(),
        comment=options.reason.strip() + _MARK,
        ends_at=ends_at,
    )
    made = _active(alertmanager, silence_id, settings.url)
    reason = f"{ALERT} is silenced until {moment(made.ends_at)}, id {made.id}"
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
        fix=f"{inv(f'unsilence --silence {silence_id}')}, then {inv('silence')} again",
    )


def _unsilenced(settings: AlertmanagerSettings, silence_id: str | None) -> StepOutput[tuple[Silenced, ...]]:
    alertmanager = Alertmanager(settings)
    chosen = _of_id(alertmanager, silence_id, settings) if silence_id else _made_here(alertmanager)
    for one in chosen:
        alertmanager.expire(one.id)
    if not chosen:
        others = len(_on_alert(alertmanager))
        reason = f"no silence made by this tool is in force on {ALERT}"
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
            f"The silence {silence_id} {state}",
            where=where,
            fix=f"see the page Silences of Alertmanager, then {inv('unsilence --silence ID')}",
        )
    return found


def _made_here(alertmanager: Alertmanager) -> tuple[Silence, ...]:
    return tuple(one for one in _on_alert(alertmanager) if one.comment.endswith(_MARK))


def _on_alert(alertmanager: Alertmanager) -> tuple[Silence, ...]:
    return tuple(one for one in alertmanager.silences() if one.matches({"alertname": ALERT}))


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
