"""The half of the journey that only reads, on a real Podman: files, states, logs, what is inside, and a diagnosis.

The containers have the field's names and mounts; in them runs Python, which answers nothing.
"""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from runbook.commands.logs.options import LogsOptions
from runbook.commands.logs.steps import logs
from runbook.commands.run_context import RunContext
from runbook.commands.troubleshoot.options import TroubleshootOptions
from runbook.commands.troubleshoot.steps import troubleshoot
from runbook.console import document
from runbook.diagnosis.catalogue import CHECKS
from runbook.diagnosis.check import Broken, Finding, Ok
from runbook.diagnosis.facts import Facts
from runbook.files.file_discovery import found_files
from runbook.observer import NullObserver
from runbook.settings import Target
from runbook.systems.docker.client import DockerRuntime
from runbook.systems.runtime import Runtime
from tests.command_line import CHECKOUT
from tests.contracts.contract_parts import eventually
from tests.podman_engine import Podman, podman_service
from tests.schema import validate
from tests.systems.loopback_servers import free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

ENDLESS: Final = "import signal; print('up'); signal.pause()"
SINK: Final = "import signal\nfor n in range(30): print('Received lead.created', n)\nsignal.pause()"
MOUNTS: Final = {
    "aether-prom": ("prometheus-crm-events-rules.yml:/etc/prometheus/crm-events-rules.yml:ro",),
    "aether-grafana": ("grafana/dashboards:/var/lib/grafana/dashboards:ro",),
}
HTTP: Final = ("keycloak", "gateway", "prometheus", "alertmanager", "grafana")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Containers on a Podman, the folder with their files, and the target that speaks of them."""

    podman: Podman
    folder: Path
    target: Target
    runtime: Runtime
    directory: Path

    def context(self, command: str) -> RunContext:
        return RunContext(
            command,
            screen=NullObserver(),
            target=self.target,
            runtime=self.runtime,
            directory=self.directory,
            is_recorded=False,
        )

    def check(self, code: str, hop: str) -> Finding:
        facts = Facts(self.target, self.runtime, state_dir=self.directory)
        return next(one.found(facts) for one in CHECKS if (one.code, one.hop) == (code, hop))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("podman")
    folder = directory / "monitoring"
    shutil.copytree(CHECKOUT / "monitoring", folder)
    nobody = f"127.0.0.1:{free_port()}"
    with podman_service() as podman:
        target = Target.from_tables(
            "live",
            {
                "runtime": {"docker_host": podman.url},
                "kafka": {"bootstrap": nobody},
                "sink": {"metrics_url": f"http://{nobody}/metrics", "http_url": f"http://{nobody}"},
                **{name: {"url": f"http://{nobody}"} for name in HTTP},
            },
            source="test",
        )
        for name in ("aether-keycloak", "aether-gateway", "aether-apexflow", "kafka", "aether-alertmanager", *MOUNTS):
            mounted = [part for mount in MOUNTS.get(name, ()) for part in ("--volume", f"{folder}/{mount}")]
            podman.start(ENDLESS, "--network", "none", *mounted, name=name)
        podman.start(SINK, "--network", "none", name="aether-crm-events-sink")
        with closing(DockerRuntime(target.runtime)) as runtime:
            yield Installation(podman=podman, folder=folder, target=target, runtime=runtime, directory=directory)


def test_the_files_are_found_by_their_mounts(installation: Installation) -> None:
    """And the engine that was asked is named with them."""
    files = found_files(installation.target, installation.runtime)

    assert files.dashboard == installation.folder / "grafana/dashboards/crm_events_pipeline.json"
    assert files.rules == installation.folder / "prometheus-crm-events-rules.yml"
    assert installation.podman.url in files.how


def test_the_lines_of_the_sink_are_those_it_wrote(installation: Installation) -> None:
    """Written in two pieces each; the last ones, and all since a time."""
    lines = [f"Received lead.created {n}" for n in range(30)]

    def read(options: LogsOptions) -> list[str]:
        result = logs(installation.context("logs"), options)
        validate(document(result))
        return [line.text for line in result.lines or ()]

    eventually(lambda: len(read(LogsOptions(since="1h"))) == len(lines) or None, "all lines")
    assert read(LogsOptions(since="1h")) == lines
    assert read(LogsOptions(tail=7)) == lines[-7:]


def test_a_rules_file_that_was_replaced_is_told_from_the_one_inside(installation: Installation) -> None:
    """Podman, too, holds on to the file that it has mounted by itself; a restart mounts the new one."""
    assert isinstance(installation.check("R_STALE_INODE", "rules"), Ok)
    new = installation.folder / "new.yml"
    new.write_bytes((installation.folder / "prometheus-crm-events-rules.yml").read_bytes() + b"# changed\n")
    new.rename(installation.folder / "prometheus-crm-events-rules.yml")

    assert isinstance(installation.check("R_STALE_INODE", "rules"), Broken)

    installation.runtime.restart(installation.target.prometheus.as_service, timeout_s=1)
    assert isinstance(installation.check("R_STALE_INODE", "rules"), Ok)


def test_a_paused_container_is_the_diagnosis_and_the_fix_can_be_typed(installation: Installation) -> None:
    """The first broken hop, by the state that Podman tells; its fix names the engine, and works as it is printed."""
    installation.podman("pause", "aether-keycloak")

    found = troubleshoot(installation.context("troubleshoot"), TroubleshootOptions(timeout_s=30))

    validate(document(found))
    assert found.verdict is not None
    assert (found.verdict.code, found.exit_code) == ("CTR_PAUSED", 1)
    assert "paused" in str(found.verdict.evidence)
    assert installation.podman.url in found.verdict.fix
    subprocess.run(shlex.split(found.verdict.fix), check=True, capture_output=True, timeout=30)
    assert installation.runtime.state(installation.target.keycloak.as_service).is_running
    statuses = {(one.code, one.hop): one.status for one in found.checks or ()}
    assert statuses["DOCKER_DOWN", "runtime"] == "ok"


def test_an_ended_and_a_missing_container_are_told_apart(installation: Installation) -> None:
    sink = installation.target.sink.as_service
    assert isinstance(installation.check("CTR_EXITED", "sink"), Ok)
    installation.podman("stop", "--time", "0", sink.container)
    assert isinstance(installation.check("CTR_EXITED", "sink"), Broken)
    assert isinstance(installation.check("CTR_MISSING", "sink"), Ok)

    installation.podman("rm", sink.container)
    assert isinstance(installation.check("CTR_MISSING", "sink"), Broken)
