"""Hop rules: the file, the configuration that names it, and the rule as Prometheus evaluates it."""

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from runbook.diagnosis.engine import Check, Finding, NotChecked, Ok
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.faults import broken
from runbook.diagnosis.services import log_command, prometheus
from runbook.errors import RunbookError
from runbook.files.rules_validity import holds_alert, rules_problem
from runbook.model import Evidence
from runbook.names import ALERT
from runbook.systems.prometheus.records import Rule


def _is_valid(facts: Facts) -> Finding:
    file, reloaded = facts.rules_file(), facts.reload_succeeded()
    flag = saw(f"GET {facts.target.prometheus.url}/metrics", f"last reload {_word(reloaded)}")
    problem = rules_problem(file.content, facts.target.prometheus.promtool)
    if problem:
        return broken("R_INVALID", saw(file.where, problem), flag)
    if reloaded is False:
        return _blamed(facts, flag)
    return Ok((saw(file.where, "parses"), flag))


def _blamed(facts: Facts, flag: Evidence) -> Finding:
    """A reload failed though the file parses: it is the rules file only if Prometheus's own log says so."""
    service, name = prometheus(facts), PurePosixPath(facts.target.prometheus.rules_inside).name
    lines = [line.text for line in facts.log(service) if name in line.text and "err" in line.text]
    if lines:
        return broken("R_INVALID", flag, saw(f"log of {service.name}", lines[-1]))
    return NotChecked(
        "the last reload failed, and not because of the rules file",
        where=flag.source,
        fix=f"{log_command(facts, service)}: it names the part of prometheus.yml",
    )


def _is_listed(facts: Facts) -> Finding:
    mine = facts.target.prometheus
    rule = loaded_rule(facts)
    if rule is not None:
        return Ok((_rule_seen(facts, rule),))
    file, listed = facts.rules_file(), facts.config().rule_files
    if not holds_alert(file.content):
        return NotChecked(f"no rule {ALERT} in it: setup has not been applied", where=file.where, fix="inv setup")
    seen = saw(f"GET {mine.url}/api/v1/status/config", f"rule_files: {', '.join(listed) or 'none'}")
    if not any(_names(pattern, mine.rules_inside) for pattern in listed):
        return broken("R_NOT_LISTED", saw(file.where, f"holds {ALERT}"), seen, path=mine.rules_inside, url=mine.url)
    return NotChecked(
        f"{file.where} holds {ALERT} and is listed, but the rule is not loaded",
        where=f"GET {mine.url}/api/v1/rules",
        fix=f"curl -X POST {mine.url}/-/reload, or restart Prometheus",
    )


def _is_evaluated(facts: Facts) -> Finding:
    rule = loaded_rule(facts)
    if rule is None:
        raise RunbookError(f"{ALERT} is not loaded", where=f"{facts.target.prometheus.url}/rules", fix="inv setup")
    seen = _rule_seen(facts, rule)
    if rule.health == "err":
        return broken("R_EVAL", seen, rule=ALERT)
    if rule.health == "ok":
        return Ok((seen,))
    return NotChecked(seen.saw, where=seen.source, fix="inv troubleshoot, in half a minute")


def loaded_rule(facts: Facts) -> Rule | None:
    """Return the runbook's alert as Prometheus has loaded it, from whichever group."""
    rules = (rule for group in facts.rules() for rule in group.rules)
    return next((rule for rule in rules if rule.name == ALERT and rule.type == "alerting"), None)


def _rule_seen(facts: Facts, rule: Rule) -> Evidence:
    error = f', lastError "{rule.last_error}"' if rule.last_error else ""
    saw_text = f"{ALERT}: health {rule.health}, state {rule.state}{error}"
    return saw(f"GET {facts.target.prometheus.url}/api/v1/rules", saw_text)


def _names(pattern: str, path: str) -> bool:
    """Say whether an entry of rule_files means the file; a relative one is taken by its name."""
    if pattern.startswith("/"):
        return fnmatchcase(path, pattern)
    return fnmatchcase(PurePosixPath(path).name, PurePosixPath(pattern).name)


def _word(reloaded: bool | None) -> str:
    return {True: "succeeded", False: "failed: the old rules live on", None: "unknown"}[reloaded]


CHECKS = (
    Check(
        code="R_INVALID",
        hop="rules",
        claim="Prometheus can load the rules file",
        needs=("P_DOWN",),
        run=_is_valid,
    ),
    Check(
        code="R_NOT_LISTED",
        hop="rules",
        claim=f"Prometheus has loaded {ALERT}",
        needs=("R_INVALID",),
        run=_is_listed,
    ),
    Check(code="R_EVAL", hop="rules", claim=f"{ALERT} is evaluated", needs=("R_NOT_LISTED",), run=_is_evaluated),
)
