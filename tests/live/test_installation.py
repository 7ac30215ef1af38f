"""Read-only checks of an own installation: what the runbook's commands rest on, before one of them changes anything.

Run as the operator would run the commands, in the folder of runbook.toml and with the same environment:
`RUNBOOK_TARGET=live pytest -m live tests/live`. A token is asked for, and nothing is created, written or restarted.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runbook.diagnosis.catalogue import CHECKS, GRAPH
from runbook.diagnosis.check import Broken
from runbook.diagnosis.engine import Examined
from runbook.diagnosis.facts import Facts
from runbook.files.compare import Datasource
from runbook.files.desired import wanted_panels, wanted_rules
from runbook.files.file_discovery import found_files
from runbook.files.file_io import read_document
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from runbook.settings import STATE_DIR, Target, load_target, setting_groups
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.grafana.client import Grafana
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.settings_group import ServiceGroup

pytestmark = pytest.mark.live

_EXAMINATION_S = 30.0


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target()


@pytest.fixture(scope="module")
def runtime(target: Target) -> Iterator[DockerRuntime]:
    if target.runtime.kind != "docker":
        pytest.skip(f"target {target.name} has no containers")
    with closing(DockerRuntime(target.runtime)) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def facts(target: Target, runtime: DockerRuntime) -> Facts:
    return Facts(target, runtime, state_dir=Path.cwd() / STATE_DIR)


@pytest.fixture(scope="module")
def examined(facts: Facts) -> dict[tuple[str, str], Examined[Facts]]:
    return {(one.check.hop, one.check.code): one for one in GRAPH.examine(facts, deadline_s=_EXAMINATION_S)}


@pytest.mark.parametrize(("hop", "code"), [(check.hop, check.code) for check in CHECKS])
def test_claim_about_the_flow_holds(examined: dict[tuple[str, str], Examined[Facts]], hop: str, code: str) -> None:
    """What could not be looked at counts as little as what is broken. Before `setup`, the rule's claims must fail."""
    result = examined[hop, code].result

    assert result.status == "ok", f"{result.claim}: {result.status}: {result.evidence}"


@pytest.mark.parametrize("group", [name for name, kind in setting_groups().items() if issubclass(kind, ServiceGroup)])
def test_container_is_found_and_runs(target: Target, runtime: DockerRuntime, group: str) -> None:
    state = runtime.state(getattr(target, group).as_service)

    assert state.is_running, state


def test_both_files_are_found_and_can_be_edited(target: Target, runtime: DockerRuntime) -> None:
    """The plans are made, and thrown away."""
    files = found_files(target, runtime)
    sources = Grafana(target.grafana).datasources()
    uid = next(source.uid for source in sources if source.name == target.grafana.datasource)
    panels = wanted_panels(Datasource(uid=uid, name=target.grafana.datasource), verbatim=False)

    plan_panels(read_document(files.dashboard), panels, path=files.dashboard)
    plan_rules(read_document(files.rules), wanted_rules(with_absent_alert=False), path=files.rules)


def test_container_holds_the_rules_file_of_this_host(facts: Facts) -> None:
    for check in CHECKS:
        if check.code in {"R_NOT_MOUNTED", "R_STALE_INODE"}:
            found = check.found(facts)
            assert not isinstance(found, Broken), found


def test_prometheus_scrapes_as_often_as_the_proof_expects(target: Target) -> None:
    """`verify` waits for three scrapes: at 10 s that is half a minute."""
    sink = [one for one in Prometheus(target.prometheus).targets() if one.job == target.prometheus.job]

    assert sink
    assert all(one.scrape_interval_s <= 10 for one in sink)
