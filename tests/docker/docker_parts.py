"""The stack in containers as its tests see it."""

from dataclasses import dataclass
from pathlib import Path

from runbook.settings import Target
from runbook.systems.docker.client import DockerRuntime
from tests.command_line import Run, given


@dataclass(frozen=True, slots=True)
class Installation:
    """The stack in containers, and the commands that an operator gives it."""

    directory: Path
    target: Target
    runtime: DockerRuntime

    @property
    def rules(self) -> Path:
        return self.directory / ".stack-docker/monitoring/prometheus-crm-events-rules.yml"

    @property
    def dashboard(self) -> Path:
        return self.directory / ".stack-docker/monitoring/grafana/dashboards/crm_events_pipeline.json"

    def does(self, *arguments: str, target: bool = True) -> Run:
        """Give a command as an operator does."""
        return given(self.directory, *arguments, *(("--target", "docker") if target else ()))
