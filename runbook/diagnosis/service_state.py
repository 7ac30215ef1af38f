"""What the runtime says of a service, as evidence and as the finding that a service does not answer."""

import re
from datetime import timedelta
from typing import Final

from runbook.diagnosis.check import Broken, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.errors import RunbookError
from runbook.model import Evidence
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened
from runbook.systems.runtime import Service, ServiceState

_RECENT: Final = timedelta(minutes=2)
_COMPLAINS: Final = re.compile(
    r"refused|no such host|not known|name resolution|unreachable|no route|timed? ?out|deadline exceeded"
    r"|could not connect|connection (?:error|failed|failure|reset|closed)|terminating connection|too many connections",
    re.IGNORECASE,
)
_TOLD_TO_END: Final = frozenset({0, 137, 143})  # on its own account, by SIGKILL, by SIGTERM: its log knows no more


def down(facts: Facts, service: Service, *evidence: Evidence) -> Broken:
    """Return the finding that a service does not answer, with its state; fills in `{start}`."""
    return broken(*evidence, *state_evidence(facts, service), start=facts.start_command(service))


def state_evidence(facts: Facts, service: Service) -> tuple[Evidence, ...]:
    """Return what the runtime says of a service; nothing when it knows nothing."""
    try:
        state = facts.state(service)
    except RunbookError:
        return ()
    return (state_seen(service, state),) if state.found else ()


def state_seen(service: Service, state: ServiceState) -> Evidence:
    """Return the state of a service in the runtime's own words."""
    if not state.found:
        nearest = f"; closest: {', '.join(state.nearest)}" if state.nearest else ""
        return saw(f"state of {service.name}", f"no such service{nearest}")
    parts = (
        state.status,
        "" if state.exit_code is None else f"exit code {state.exit_code}",
        "out of memory" if state.out_of_memory else "",
        f"restarted {state.restart_count} times" if state.status == "restarting" else "",
        state.error,
    )
    return saw(f"state of {service.name}", ", ".join(part for part in parts if part))


def last_words(facts: Facts, service: Service, state: ServiceState) -> tuple[Evidence, ...]:
    """Return the last line of a service that ended by itself; nothing where somebody else ended it."""
    if state.exit_code is None or state.exit_code in _TOLD_TO_END:
        return ()
    try:
        lines = [line.text for line in facts.log(service) if line.text.strip()]
    except RunbookError:
        return ()
    return (saw(f"last line of the log of {service.name}", shortened(lines[-1], EXCERPT_CHARACTERS)),) if lines else ()


def complaints(facts: Facts, service: Service) -> tuple[str, ...]:
    """Return the lines of the last two minutes, since its newest start, that complain of a connection; none unread."""
    try:
        lines = facts.log(service)
    except RunbookError:
        return ()
    since = facts.now() - _RECENT
    found = (line.text for line in lines if line.at is not None and line.at > since and _COMPLAINS.search(line.text))
    return tuple(shortened(text, EXCERPT_CHARACTERS) for text in found)
