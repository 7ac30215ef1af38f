"""A Docker engine over the processes of a local stack: container by container, restarts and files included.

So everything that a command asks of an engine is asked, and has its effect, where there is none.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runbook.settings import STACK_DIR, Target, load_target
from runbook.systems.processes.client import ProcessRuntime
from runbook.systems.runtime import Service
from tests.small_engine import STDOUT, Answer, Engine, frames, stat, tar


class StackEngine(Engine):
    """The engine of the local stack in a folder; each service of the settings is a container."""

    def __init__(self, socket_path: Path, folder: Path) -> None:
        super().__init__(socket_path)
        self.target: Target = load_target("local", directory=folder)
        self.runtime = ProcessRuntime(folder / STACK_DIR)
        target = self.target
        groups = (
            target.prometheus,
            target.alertmanager,
            target.grafana,
            target.kafka,
            target.keycloak,
            target.gateway,
            target.apexflow,
            target.sink,
        )
        mounts = {
            target.prometheus.service: (target.files.rules, target.prometheus.rules_inside),
            target.grafana.service: (target.files.dashboard, target.grafana.dashboard_inside),
        }
        self._services = {
            self.has(
                one.container, service=one.service, inspection=_mounted(*mounts.get(one.service, ()))
            ): one.as_service
            for one in groups
        }

    @contextmanager
    def not_running(self, service: Service) -> Iterator[None]:
        """Call a container created: its files are then read by the engine's archive, for it cannot print them."""
        number = next(number for number, one in self._services.items() if one == service)
        listed = next(one for one in self.containers if one["Id"] == number)
        before = listed["State"]
        listed["State"] = "created"
        try:
            yield
        finally:
            listed["State"] = before

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Answer:
        parts = path.split("/")
        service = self._services.get(parts[2]) if len(parts) > 3 else None
        if service and parts[3] == "restart":
            self.requests.append((method, path, query))
            self.runtime.restart(service, timeout_s=30)
            return 204, b""
        if service and parts[3] == "logs":
            self.logs[parts[2]] = self._log(service)
        if service and parts[3] == "exec":
            name = json.loads(body)["Cmd"][1]
            self.printed[parts[2], name] = (0, Path(name).read_bytes(), b"")
        if service and parts[3] == "archive":
            name = Path(query["path"][0])
            self.files[parts[2], str(name)] = (200, tar(name.name, name.read_bytes()), stat(name.name))
        return super().answer(method, path, query, body)

    def _log(self, service: Service) -> bytes:
        lines = self.runtime.log(service, tail=500)
        now = datetime.now(UTC)
        stamped = (f"{(line.at or now).isoformat().replace('+00:00', 'Z')} {line.text}\n" for line in lines)
        return frames(*((STDOUT, line.encode()) for line in stamped))


def _mounted(source: object = None, destination: object = None) -> dict[str, object]:
    """Return what an inspection says of a file that is mounted by itself."""
    if source is None:
        return {}
    return {"Mounts": [{"Type": "bind", "Source": str(source), "Destination": str(destination)}]}
