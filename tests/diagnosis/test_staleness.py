"""The rules file of this host against the one inside Prometheus's container."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from runbook.diagnosis import files
from runbook.diagnosis.catalogue import CHECKS
from runbook.diagnosis.check import Broken, Finding, NotChecked, Ok
from runbook.diagnosis.checks import rules as rules_hop
from runbook.diagnosis.facts import Facts
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service
from tests.diagnosis.recorded import HEALTHY, Recorded, config, given

INSIDE = "/etc/prometheus/crm-events-rules.yml"


@dataclass(frozen=True)
class Container:
    """As much of a runtime as the two checks ask: what is mounted, and what the container sees."""

    content: bytes | None
    source: str = ""
    engine: str = "localhost"

    def described(self) -> str:
        return f"engine on {self.engine}"

    def host(self) -> str:
        return self.engine

    def mounts(self, _: Service) -> tuple[Mount, ...]:
        return (Mount(source=self.source, destination=INSIDE),) if self.source else ()

    def start_command(self, service: Service) -> str:
        return f"docker restart {service.container}"

    def recreate_command(self, service: Service) -> str:
        return f"docker compose up -d --force-recreate {service.name}"

    def file_inside(self, _: Service, path: str) -> bytes | None:
        assert path == INSIDE
        return self.content


def found(container: Container, tmp_path: Path, **settings: dict[str, str]) -> dict[str, Finding]:
    target = Target.from_tables("live", settings, source="test")
    facts = Facts(target, cast("Runtime", container), state_dir=tmp_path)
    return {code: found_by(code, facts) for code in ("R_NOT_MOUNTED", "R_STALE_INODE")}


def found_by(code: str, facts: Facts) -> Finding:
    return next(check.found(facts) for check in CHECKS if check.code == code)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_bytes(b"groups: [] # new\n")
    return path


def test_same_content_is_no_finding(rules: Path, tmp_path: Path) -> None:
    one = found(Container(rules.read_bytes(), str(rules)), tmp_path)

    assert isinstance(one["R_NOT_MOUNTED"], Ok)
    assert isinstance(one["R_STALE_INODE"], Ok)


def test_other_content_inside_is_named_with_both_hashes(rules: Path, tmp_path: Path) -> None:
    one = found(Container(b"groups: [] # old\n", str(rules)), tmp_path)["R_STALE_INODE"]

    assert isinstance(one, Broken)
    assert [evidence.source for evidence in one.evidence] == [str(rules), f"{INSIDE} in aether-prom"]
    assert len({evidence.saw for evidence in one.evidence}) == 2


def test_file_of_the_settings_counts_where_nothing_is_mounted(rules: Path, tmp_path: Path) -> None:
    one = found(Container(b"old"), tmp_path, files={"rules": str(rules)})

    assert isinstance(one["R_STALE_INODE"], Broken)


def test_missing_file_inside_is_another_fault(rules: Path, tmp_path: Path) -> None:
    assert isinstance(found(Container(None, str(rules)), tmp_path)["R_NOT_MOUNTED"], Broken)


@pytest.mark.parametrize("source", ["", "/nowhere/rules.yml"])
def test_file_that_is_not_on_this_host_is_not_judged(tmp_path: Path, source: str) -> None:
    """Docker Desktop and remote engines name paths of another machine: no accusation from there."""
    assert isinstance(found(Container(b"old", source), tmp_path)["R_STALE_INODE"], NotChecked)


def test_a_file_of_the_same_name_is_no_file_of_a_remote_engine(rules: Path, tmp_path: Path) -> None:
    """The engine's host has a file of that path, and this host another one."""
    far = Container(b"old", str(rules), engine="db1")

    assert isinstance(found(far, tmp_path)["R_STALE_INODE"], NotChecked)


def test_a_rule_in_a_file_that_the_container_does_not_have_is_not_loaded(rules: Path, tmp_path: Path) -> None:
    """The settings name one file, the container has another: that is said, and which one it has."""
    named = tmp_path / "named.yml"
    named.write_text("groups: [{name: a, rules: [{alert: CrmEventsSinkDown, expr: up}]}]\n")
    target = Target.from_tables("live", {"files": {"rules": str(named)}}, source="test")
    answers = given(rules_hop.rules, ()) | given(Facts.config, config())
    facts = Facts(target, cast("Runtime", Container(b"groups: []\n", str(rules))), state_dir=tmp_path)
    read = given(files.rules_file, files.rules_file(facts)) | given(files.rules_mounted, files.rules_mounted(facts))

    finding = found_by("R_NOT_LISTED", Recorded(HEALTHY | answers | read, target))

    assert isinstance(finding, NotChecked)
    assert (str(named) in finding.why, str(rules) in finding.why) == (True, True)
    assert f"RUNBOOK_FILES_RULES to {rules}" in finding.fix
