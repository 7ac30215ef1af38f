"""The cases of hop rules: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis import files
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import FAILED_RELOAD, NO_STATE, SET_UP, Case, file
from tests.diagnosis.recorded import (
    RULES_BEFORE,
    config,
    given,
    rules,
)

CASES = (
    Case(
        hop="rules",
        code="R_INVALID",
        broken=(given(files.rules_file, file(b"groups:\n  - name: [unfinished\n")) | FAILED_RELOAD | SET_UP),
        unseen=FAILED_RELOAD,
        says="not YAML",
        fix="inv rollback",
    ),
    Case(
        hop="rules",
        code="R_NOT_LISTED",
        broken=(given(rules_hop.rules, ()) | given(Facts.config, config(rule_files=()))),
        unseen=(given(rules_hop.rules, ()) | given(files.rules_file, file(RULES_BEFORE))),
        says="rule_files: none",
        fix="/etc/prometheus/crm-events-rules.yml",
    ),
    Case(
        hop="rules",
        code="R_NOT_MOUNTED",
        broken=given(files.rules_inside, None),
        unseen=given(files.rules_inside, NO_STATE),
    ),
    Case(
        hop="rules",
        code="R_STALE_INODE",
        broken=given(files.rules_inside, RULES_BEFORE),
        unseen=given(files.rules_mounted, None),
        says="SHA-256",
    ),
    Case(
        hop="rules",
        code="R_EVAL",
        broken=given(rules_hop.rules, rules("err")),
        unseen=given(rules_hop.rules, rules("unknown")),
    ),
)
