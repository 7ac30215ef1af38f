"""Installations of every kind, driven by the command line alone, as an operator drives his own."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from runbook.settings import load_target
from tests.command_line import Run, given

_ANSWER_S = 10
_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One that has been brought up in `directory`; `folder` is where the stack keeps its files.

    `programs` are those that play Kafka, Keycloak and the database: "real" or "stand-in".
    """

    directory: Path
    target: str
    folder: str
    programs: str

    @property
    def files(self) -> tuple[Path, Path]:
        """The dashboard and the rules file."""
        monitoring = self.directory / self.folder / "monitoring"
        dashboard = monitoring / "grafana/dashboards/crm_events_pipeline.json"
        return dashboard, monitoring / "prometheus-crm-events-rules.yml"

    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.files]

    def does(self, task: str, *arguments: str) -> Run:
        """Give a command on this target."""
        return given(self.directory, task, *arguments, "--target", self.target)

    def journalled(self) -> dict[str, int]:
        """Count, by topic, the newest events that the sink's journal in PostgreSQL keeps."""
        address = load_target(self.target, directory=self.directory).sink.http_url
        rows = requests.get(f"{address}/events/latest", params={"limit": _ROWS}, timeout=_ANSWER_S).json()
        return Counter(row["topic"] for row in rows)


KINDS = {
    "embedded": ((), "local", ".stack", "stand-in"),
    "real": (("--real",), "local", ".stack", "real"),
    "docker": (("--docker",), "docker", ".stack-docker", "stand-in"),
    "docker-real": (("--docker",), "docker", ".stack-docker", "real"),
}
PARAMETERS = (
    "embedded",
    pytest.param("real", marks=pytest.mark.real),
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-real", marks=(pytest.mark.docker, pytest.mark.real)),
)
