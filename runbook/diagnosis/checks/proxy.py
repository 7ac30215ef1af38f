"""Hop proxy: the edge proxy before the gateway. There may be none, or one elsewhere: it is known by its answer."""

from runbook.diagnosis.checks.gateway import unauthenticated_answer
from runbook.diagnosis.container_checks import container_checks
from runbook.diagnosis.facts import Facts
from runbook.diagnosis.reach import heard, is_here, is_published
from runbook.errors import RunbookError
from runbook.model import Evidence


def _heard(facts: Facts) -> Evidence:
    return heard(facts, facts.target.gateway.url, unauthenticated_answer)


def _ought_to_be_here(facts: Facts) -> bool:
    """Say whether the gateway runs here and has no port at the address of the settings: something stands between."""
    mine = facts.target.gateway
    try:
        is_running = facts.state(mine.as_service).is_running
        return is_running and is_here(facts, mine.url) and not is_published(facts, mine.as_service, mine.url)
    except RunbookError:
        return False


CHECKS = container_checks(
    "proxy", "The edge proxy", lambda facts: facts.target.gateway.proxy, _heard, is_here=_ought_to_be_here
)
