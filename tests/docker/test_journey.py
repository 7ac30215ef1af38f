"""The runbook on containers, as an operator carries it out on an installation in the field: scraped every 10 s."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.diagnosis.catalogue import CHECKS
from runbook.diagnosis.check import Broken, Finding, Ok
from runbook.diagnosis.facts import Facts
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Service
from tests.command_line import CHECKOUT, given
from tests.docker.docker_parts import Installation

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

PROMETHEUS = Service(name="prometheus", container="aether-prom")
REFERENCE = CHECKOUT / "monitoring"


@pytest.fixture(scope="module")
def set_up(stack: Installation) -> Installation:
    """The installation after `setup`."""
    done = stack.does("setup", "--yes")
    assert (done.code, done.document["outcome"]) == (0, "changed"), done.document
    return stack


def test_setup_finds_the_files_by_their_mounts_and_proves_them_served(set_up: Installation) -> None:
    """Nothing names a path: the bind mounts of the two containers lead to the files."""
    assert b"CrmEventsSinkDown" in set_up.rules.read_bytes()
    assert b'"id": 21' in set_up.dashboard.read_bytes()
    groups = Prometheus(set_up.target.prometheus).rules()
    assert "CrmEventsSinkDown" in {rule.name for group in groups for rule in group.rules}


def test_second_setup_changes_no_byte_and_restarts_nothing(set_up: Installation) -> None:
    before = set_up.rules.read_bytes(), set_up.dashboard.read_bytes(), set_up.runtime.state(PROMETHEUS).started_at

    done = set_up.does("setup", "--yes")

    assert (done.code, done.document["outcome"]) == (0, "unchanged")
    assert before == (
        set_up.rules.read_bytes(),
        set_up.dashboard.read_bytes(),
        set_up.runtime.state(PROMETHEUS).started_at,
    )


def test_each_created_lead_and_job_is_proven_up_to_the_panel(set_up: Installation) -> None:
    """5 of 5 criteria, 7 of 7 entities: from the answer of the API to Grafana's panel."""
    sent = set_up.does("traffic")
    proven = set_up.does("verify")

    assert (sent.code, proven.code) == (0, 0), proven.document
    assert [one["outcome"] for one in proven.document["criteria"]] == ["ok"] * 5
    assert (proven.document["ledger"]["proven"], proven.document["ledger"]["total"]) == (7, 7)


def test_healthy_installation_gets_no_diagnosis(set_up: Installation) -> None:
    found = set_up.does("troubleshoot")

    assert (found.code, found.document["verdict"]["outcome"]) == (0, "healthy"), found.document["verdict"]


def test_init_writes_what_this_installation_needs(set_up: Installation, tmp_path: Path) -> None:
    """As target `live` in a folder without settings: the containers and their ports are found, and all that is needed.

    The ports of the stack are its own, so that nothing of this holds by a default.
    """
    written = given(tmp_path, "init", "--yes")
    assert (written.code, written.document["outcome"]) == (0, "changed"), written.document
    (missing,) = written.document["unknown"]
    assert missing["seen"].startswith("ApexFlow's database runs in no container"), "the stand-in keeps its data itself"
    checked = given(tmp_path, "init", "--check")
    assert (checked.code, checked.document["wrong"]) == (0, [])
    planned = given(tmp_path, "setup", "--dry-run")
    assert (planned.code, planned.document["outcome"]) == (0, "unchanged"), planned.document
    found = given(tmp_path, "troubleshoot")
    assert (found.code, found.document["verdict"]["outcome"]) == (0, "healthy"), found.document["verdict"]
    assert set_up.target.grafana.url.rpartition(":")[2] in (tmp_path / "runbook.toml").read_text(encoding="utf-8")


def test_read_only_checks_of_an_own_installation_hold_here(set_up: Installation) -> None:
    """What tests/live asks of an operator's installation, asked of this one, which has been set up and has traffic."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "live"]
    done = subprocess.run(
        [*command, "-c", str(CHECKOUT / "pyproject.toml"), str(CHECKOUT / "tests/live")],
        cwd=set_up.directory,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "RUNBOOK_TARGET": "docker"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_sink_log_is_the_containers(set_up: Installation) -> None:
    lines = set_up.does("logs", "--tail", "50")

    assert lines.code == 0
    assert "Received lead.created for tenant acme" in str(lines.document)


def test_rollback_puts_back_the_bytes_of_the_first_setup(set_up: Installation) -> None:
    done = set_up.does("rollback", "--yes")

    assert done.code == 0, done.document
    assert (REFERENCE / "grafana/dashboards" / set_up.dashboard.name).read_bytes() == set_up.dashboard.read_bytes()
    assert (REFERENCE / set_up.rules.name).read_bytes() == set_up.rules.read_bytes()
    groups = Prometheus(set_up.target.prometheus).rules()
    assert "CrmEventsSinkDown" not in {rule.name for group in groups for rule in group.rules}


def replaced_by_renaming(path: Path, content: bytes) -> None:
    """Replace a file as editors and git do: the name leads to another inode afterwards."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    shutil.copymode(path, draft)
    draft.replace(path)


def staleness_of(stack: Installation) -> Finding:
    facts = Facts(stack.target, stack.runtime, state_dir=stack.directory)
    return next(check.found(facts) for check in CHECKS if check.code == "R_STALE_INODE")


def test_stale_inode_is_named_and_setup_gets_through_it(set_up: Installation) -> None:
    """The runbook's trap: the file is right, a reload reports success, and Prometheus goes on with the old rules."""
    assert isinstance(staleness_of(set_up), Ok)
    wanted = set_up.rules.read_bytes() + b"# replaced by renaming\n"
    inside = set_up.runtime.file_inside(PROMETHEUS, set_up.target.prometheus.rules_inside)
    replaced_by_renaming(set_up.rules, wanted)

    found = staleness_of(set_up)
    reloaded = Prometheus(set_up.target.prometheus).reload()

    assert isinstance(found, Broken)
    assert reloaded.status == 200
    assert inside == set_up.runtime.file_inside(PROMETHEUS, set_up.target.prometheus.rules_inside) != wanted

    set_up.runtime.restart(PROMETHEUS, timeout_s=30)

    assert wanted == set_up.runtime.file_inside(PROMETHEUS, set_up.target.prometheus.rules_inside)
    assert isinstance(staleness_of(set_up), Ok)


def test_rule_that_came_by_renaming_is_served_after_setup(set_up: Installation) -> None:
    """A `git pull` brought the rule: nothing is to be written, and yet Prometheus must be restarted."""
    assert set_up.does("setup", "--yes", "--no-restart").code == 0
    with_rule = set_up.rules.read_bytes()
    set_up.rules.write_bytes((REFERENCE / set_up.rules.name).read_bytes())
    set_up.runtime.restart(PROMETHEUS, timeout_s=30)
    replaced_by_renaming(set_up.rules, with_rule)
    assert isinstance(staleness_of(set_up), Broken)

    done = set_up.does("setup", "--yes")

    assert (done.code, done.document["outcome"]) == (0, "changed"), done.document
    assert with_rule == set_up.rules.read_bytes()
    assert isinstance(staleness_of(set_up), Ok)
