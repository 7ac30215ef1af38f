"""Hop rules: the file, the container's own copy of it, and the rule as Prometheus has loaded and evaluates it.

A file that is mounted by itself is bound to an inode. Whoever replaces it by renaming (an editor, `git pull`, `sed -i`)
makes a new one: inside stays the old file, a reload reads it and reports success. A restart of the container finds the
file by its name again (measured with engine 20.10: the engine binds the mounts anew at every start).
"""

from pathlib import PurePosixPath

from runbook.diagnosis.check import Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.fact_cache import Fact
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.files import FileFact, rules_file, rules_inside, rules_mounted
from runbook.errors import RunbookError
from runbook.files.rules_validity import holds_alert, rules_problem
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.names import ALERT
from runbook.runs.run_history import is_change, newest_run
from runbook.runs.run_log import REPLACES, digest
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Rule, RuleGroup
from runbook.wording import fingerprint


@Fact
def rules(facts: Facts) -> tuple[RuleGroup, ...]:
    """Return Prometheus's loaded rules, the runbook's evaluated at least once if that comes soon enough."""

    def look() -> tuple[tuple[RuleGroup, ...], bool]:
        groups = facts.ask_prometheus(Prometheus.rules)
        mine = (rule for group in groups for rule in group.rules if rule.name == ALERT)
        return groups, all(rule.health != "unknown" for rule in mine)

    return facts.until(look)


@Fact
def reload_succeeded(facts: Facts) -> bool | None:
    """Say whether Prometheus's last reload succeeded; None when it does not say."""
    return facts.ask_prometheus(Prometheus.last_reload_successful)


def _is_valid(facts: Facts) -> Finding:
    file, reloaded = rules_file(facts), reload_succeeded(facts)
    flag = saw(f"GET {facts.target.prometheus.url}/metrics", f"last reload {_word(reloaded)}")
    problem = rules_problem(file.content, facts.target.prometheus.promtool)
    if problem:
        return broken(saw(file.where, problem), flag, fix=rewriting(facts, file.where))
    if reloaded is False:
        return _blamed(facts, file.where, flag)
    return Ok((saw(file.where, "parses"), flag))


def _blamed(facts: Facts, where: str, flag: Evidence) -> Finding:
    """A reload failed though the file parses: it is the rules file only if Prometheus's own log says so."""
    mine = facts.target.prometheus
    name = PurePosixPath(mine.rules_inside).name
    lines = [line.text for line in facts.log(mine.as_service) if name in line.text and "err" in line.text]
    if lines:
        fix = f"{_reloading(facts)}: the file parses now; if that is refused, {rewriting(facts, where)}"
        return broken(flag, saw(f"log of {mine.service}", lines[-1]), fix=fix)
    return NotChecked(
        "the last reload failed, and not because of the rules file",
        where=flag.source,
        fix=f"{facts.log_command(mine.as_service)}: it names the part of prometheus.yml",
    )


def file_problem(facts: Facts) -> Evidence | None:
    """Return why Prometheus cannot load the rules file; None if it can, or if the file cannot be read."""
    try:
        file = rules_file(facts)
    except RunbookError:
        return None
    problem = rules_problem(file.content, facts.target.prometheus.promtool)
    return saw(file.where, problem) if problem else None


@Fact
def edited_since(facts: Facts) -> bool:
    """Say whether the rules file is another one than the last setup that wrote it has left: a rollback is refused."""
    content = rules_file(facts).content
    events = newest_run(facts.state_dir, is_change, target=facts.target.name).events
    left = [event.data["after"] for event in events if event.kind == REPLACES and event.data.get("kind") == "rules"]
    return bool(left) and left[-1] != digest(content)


def rewriting(facts: Facts, where: str) -> str:
    """Return how the rules file gets valid again: a rollback helps where a setup has written it, and nobody since."""
    run_id = facts.last_setup()
    if not run_id:
        return f"correct {where}, then {inv('setup')}"
    by_hand = f"correct {where}, then {_reloading(facts)}"
    if edited_since(facts):
        rollback = f"{inv(f'rollback --run {run_id} --force')}, then {inv('setup')}"
        return f"{by_hand}; or, to give up what was changed since run {run_id}: {rollback}"
    return f"{inv('rollback')}: as before run {run_id}; or {by_hand}"


def _reloading(facts: Facts) -> str:
    """Return what lets Prometheus read the file; a setup that finds nothing to write reloads nothing."""
    return f"curl -X POST {facts.target.prometheus.url}/-/reload"


def correcting(facts: Facts, where: str) -> str:
    """Return the same while Prometheus does not run: a setup would be refused, a start reads the file."""
    run_id = facts.last_setup()
    if not run_id or edited_since(facts):
        return f"correct {where}"
    return f"{inv('rollback')}: as before run {run_id}; or correct {where}"


def _is_listed(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    rule = loaded_rule(facts)
    if rule is not None:
        return Ok((_rule_seen(facts, rule),))
    file, config = rules_file(facts), facts.config()
    if not holds_alert(file.content):
        return NotChecked(f"no rule {ALERT} in it: setup has not been applied", where=file.where, fix=inv("setup"))
    seen = saw(f"GET {mine.url}/api/v1/status/config", f"rule_files: {', '.join(config.rule_files) or 'none'}")
    if not config.lists(mine.rules_inside):
        return broken(saw(file.where, f"holds {ALERT}"), seen, path=mine.rules_inside, url=mine.url)
    where = f"GET {mine.url}/api/v1/rules"
    mounted = _mounted(facts)
    if mounted and mounted.content != file.content:
        why = f"{file.where} holds {ALERT}, but Prometheus's container has {mounted.where}"
        fix = f"set {facts.target.files.place_of('rules')} to {mounted.where}, then {inv('setup')}"
        return NotChecked(why, where=where, fix=fix)
    why = f"{file.where} holds {ALERT} and is listed, but the rule is not loaded"
    return NotChecked(why, where=where, fix=f"{inv('setup')}: it lets Prometheus read the file again")


def _mounted(facts: Facts) -> FileFact | None:
    """Return the file of this host that the container has; None where that cannot be said."""
    try:
        return rules_mounted(facts)
    except RunbookError:
        return None


def _is_inside(facts: Facts) -> Finding:
    mine, content = facts.target.prometheus, rules_inside(facts)
    where = f"{mine.rules_inside} in {mine.container}"
    if content is not None:
        return Ok((saw(where, fingerprint(content)),))
    recreate = facts.recreate_command(mine.as_service)
    return broken(saw(where, "no such file"), path=mine.rules_inside, recreate=recreate)


def _is_current(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    try:
        here = rules_mounted(facts)
    except RunbookError as error:
        fix = "run on the host of the containers, as a user who may read it"
        return NotChecked(error.seen, where=error.where, fix=fix)
    if here is None:
        fix = f"set {facts.target.files.place_of('rules')} to the rules file"
        return NotChecked("neither a setting nor a mount names the file on this host", where=mine.rules_inside, fix=fix)
    there = rules_inside(facts) or b""
    inside = saw(f"{mine.rules_inside} in {mine.container}", fingerprint(there))
    seen = (saw(here.where, fingerprint(here.content)), inside)
    return Ok(seen) if here.content == there else broken(*seen, start=facts.start_command(mine.as_service))


def _is_evaluated(facts: Facts) -> Finding:
    rule = loaded_rule(facts)
    if rule is None:
        raise RunbookError(f"{ALERT} is not loaded", where=f"{facts.target.prometheus.url}/rules", fix=inv("setup"))
    seen = _rule_seen(facts, rule)
    if rule.health == "err":
        return broken(seen, rule=ALERT)
    if rule.health == "ok":
        return Ok((seen,))
    return NotChecked(seen.saw, where=seen.source, fix=f"{inv('troubleshoot')}, in half a minute")


def loaded_rule(facts: Facts) -> Rule | None:
    """Return the runbook's alert as Prometheus has loaded it, from whichever group."""
    loaded = (rule for group in rules(facts) for rule in group.rules)
    return next((rule for rule in loaded if rule.name == ALERT and rule.type == "alerting"), None)


def _rule_seen(facts: Facts, rule: Rule) -> Evidence:
    error = f', lastError "{rule.last_error}"' if rule.last_error else ""
    text = f"{ALERT}: health {rule.health}, state {rule.state}{error}"
    return saw(f"GET {facts.target.prometheus.url}/api/v1/rules", text)


def _word(reloaded: bool | None) -> str:
    return {True: "succeeded", False: "failed: Prometheus keeps the old rules", None: "unknown"}[reloaded]


CHECKS = (
    Check(
        code="R_INVALID",
        hop="rules",
        claim="Prometheus can load the rules file",
        diagnosis="Prometheus cannot load the rules file; it keeps the old rules",
        sign="promtool or our own reading rejects it, or Prometheus's log blames it for a failed reload",
        fix="{fix}",
        needs=("prometheus.WRONG_ANSWER",),
        run=_is_valid,
    ),
    Check(
        code="R_NOT_LISTED",
        hop="rules",
        claim=f"Prometheus has loaded {ALERT}",
        diagnosis="Prometheus's configuration does not name the rules file",
        sign="the file holds the alert, and no entry of the loaded rule_files means the file",
        fix="add {path} to rule_files in prometheus.yml, then curl -X POST {url}/-/reload",
        needs=("R_INVALID",),
        run=_is_listed,
    ),
    Check(
        code="R_NOT_MOUNTED",
        hop="rules",
        claim="Prometheus's container has a rules file",
        diagnosis="Prometheus's container has no rules file",
        sign="the container has no file at that path",
        fix="mount the rules file at {path}, then {recreate}",
        needs=("prometheus.WRONG_ANSWER",),
        run=_is_inside,
        of_runtime=True,
    ),
    Check(
        code="R_STALE_INODE",
        hop="rules",
        claim="Prometheus's container has the rules file of this host",
        diagnosis="Prometheus's container still holds an old rules file",
        sign="the file inside has another SHA-256 than the one that is mounted there",
        fix="{start}",
        needs=("R_NOT_MOUNTED",),
        run=_is_current,
        of_runtime=True,
    ),
    Check(
        code="R_EVAL",
        hop="rules",
        claim=f"{ALERT} is evaluated",
        diagnosis="The rule {rule} does not evaluate",
        sign="the rule's health is err, with lastError as evidence",
        fix="correct the expression of {rule}: {inv:setup} writes the runbook's",
        needs=("R_NOT_LISTED",),
        run=_is_evaluated,
    ),
)
