"""Hop rules: whether the file inside Prometheus's container is the one on this host.

A file that is mounted by itself is bound to an inode. Whoever replaces it by renaming (an editor, `git pull`, `sed -i`)
makes a new one: inside stays the old file, a reload reads it and reports success. A restart of the container finds the
file by its name again (measured with engine 20.10: the engine binds the mounts anew at every start).
"""

from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import prometheus, restart_command
from runbook.errors import RunbookError
from runbook.wording import fingerprint


def _is_inside(facts: Facts) -> Finding:
    service, inside = prometheus(facts), facts.target.prometheus.rules_inside
    content = facts.rules_inside()
    seen = saw(f"{inside} in {service.container}", "no such file" if content is None else fingerprint(content))
    return broken("R_NOT_MOUNTED", seen) if content is None else Ok((seen,))


def _is_current(facts: Facts) -> Finding:
    service, inside = prometheus(facts), facts.target.prometheus.rules_inside
    try:
        here = facts.rules_on_this_host()
    except RunbookError as error:
        fix = "run on the host of the containers, as a user who may read it"
        return NotChecked(error.seen, where=error.where, fix=fix)
    if here is None:
        return NotChecked(
            "nobody says which file of this host it is", where=inside, fix="set RUNBOOK_FILES_RULES to the rules file"
        )
    there = facts.rules_inside() or b""
    seen = (saw(here.where, fingerprint(here.content)), saw(f"{inside} in {service.container}", fingerprint(there)))
    return (
        Ok(seen) if here.content == there else broken("R_STALE_INODE", *seen, restart=restart_command(facts, service))
    )


CHECKS = (
    Check(
        code="R_NOT_MOUNTED",
        hop="rules",
        claim="the rules file is there inside Prometheus's container",
        needs=("P_DOWN",),
        run=_is_inside,
    ),
    Check(
        code="R_STALE_INODE",
        hop="rules",
        claim="Prometheus's container has the rules file of this host",
        needs=("R_NOT_MOUNTED",),
        run=_is_current,
    ),
)
