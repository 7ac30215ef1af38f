"""What can be done to the local stack for practice and tests: the words in which every fault is written.

Each of these is kept before it is done, so that `stack.mend` undoes it, also after an interrupt.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from runbook.errors import RunbookError, UsageError
from runbook.files.file_io import read_document, write_document
from runbook.invocation import inv
from runbook.local_stack import fault_traffic, stack
from runbook.local_stack.injected_faults import InjectedFault, InjectedFaults
from runbook.local_stack.layout import Layout
from runbook.model import ServiceStatus
from runbook.names import ALERT, COUNTER
from runbook.settings import LOCAL, Target
from runbook.systems.alertmanager.client import Alertmanager, Matcher
from runbook.systems.processes.launcher import Launcher, ProcessRecord
from runbook.systems.prometheus.client import Prometheus
from runbook.waiting import Pending, wait_until

_READY_S: Final = 30.0
_DEAF: Final = "import threading; threading.Event().wait()"
_SILENCED_FOR: Final = timedelta(hours=1)


class FaultInjector:
    """One local stack. Every method raises RunbookError where it cannot be done."""

    def __init__(self, directory: Path, target: Target) -> None:
        """Take the working directory and the settings of target `local`; read what was injected before."""
        self.directory = directory
        self.target = target
        self.layout = Layout.of(directory)
        self.injected = InjectedFaults(self.layout.root / "fault.json")
        self._launcher = Launcher(self.layout.root)

    # Services

    def kill(self, name: str) -> str:
        """End a service with SIGKILL; `stack.up` starts whatever is down."""
        self.injected.add(InjectedFault(what=f"killed {name}"))
        stack.stop_service(self.directory, name, kill=True)
        return f"{name} was killed"

    def freeze(self, name: str) -> str:
        """Suspend a service (SIGSTOP): it accepts connections and answers none."""
        if not self._status(name).running:
            raise RunbookError(f"{name} does not run", where=str(self.layout.root), fix=inv("stack.up"))
        self.injected.add(InjectedFault(what=f"froze {name}", stop=name))
        self._launcher.suspend(name)
        return f"{name} was suspended"

    def restart(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None, wait: bool = True
    ) -> None:
        """Start a service again with these arguments and variables added, and `wait` until it is ready."""
        self.injected.add(InjectedFault(what=f"restarted {name} with other options", stop=name))
        stack.start_service(self.directory, name, extra_env=environment, extra_args=arguments)
        if wait:
            self._wait_until_ready(name)

    def restart_stand_in(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Restart a service whose options are those of our stand-in, and wait until it is ready."""
        if self._status(name).kind == "real":
            raise UsageError(
                f"This fault needs the stand-in for {name}, and the stack has the real program",
                where=str(self.layout.root),
                fix=f"{inv('stack.down')}, then {inv('stack.up')} without {name}=real",
            )
        self.restart(name, *arguments, environment=environment)

    def restart_refusing(self, name: str, *arguments: str) -> None:
        """Start a service again with these arguments, and wait until it answers: otherwise than who is ready."""
        self.restart(name, *arguments, wait=False)

        def refuses() -> bool | Pending:
            service = self._status(name)
            return "not ready: GET" in service.detail or Pending(service.detail)

        self._wait(refuses, what=f"An answer of {name}")

    def open_no_port(self, name: str) -> str:
        """Put a program in the place of a service that runs and opens no port."""
        self._run_instead(name, (sys.executable, "-c", _DEAF), what=f"replaced {name} by a program that opens no port")
        return f"{name} runs and opens no port"

    def run_instead(self, name: str, module: str) -> None:
        """Put another Python module in the place of a service that is one."""
        python, flag, *_ = self._record(name).launch.command
        self._run_instead(name, (python, flag, module), what=f"ran {module} as {name}")

    def _run_instead(self, name: str, command: tuple[str, ...], *, what: str) -> None:
        launch = replace(self._record(name).launch, command=command, announced_by="")
        self.injected.add(InjectedFault(what=what, stop=name))
        stack.stop_service(self.directory, name)
        self._launcher.start(name, launch)

    def _record(self, name: str) -> ProcessRecord:
        record = self._launcher.record(name)
        if record is None:
            raise RunbookError(f"{name} was never started", where=str(self.layout.root), fix=inv("stack.up"))
        return record

    # Files

    def rewrite(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        """Change a file of the copied installation, in place."""
        before = read_document(path)
        after = change(before)
        self.injected.add(InjectedFault(what=f"changed {path.name}", path=str(path), before=before, after=after))
        write_document(path, before, after)

    def reconfigure_prometheus(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change prometheus.yml as a document, and let Prometheus reload it."""
        self.rewrite(self.layout.monitoring / "prometheus.yml", _as_yaml(change))
        self.reload()

    def reprovision_grafana(self, file: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a file of Grafana's provisioning as a document (`datasources/prometheus.yml`), and restart Grafana."""
        self.rewrite(self.layout.monitoring / "grafana/provisioning" / file, _as_yaml(change))
        self.restart("grafana")

    def reload(self) -> None:
        """Let Prometheus read its files again; a refusal (500) is what some faults are about."""
        Prometheus(self.target.prometheus).reload()

    def must_be_set_up(self, path: Path, mark: str = ALERT) -> None:
        """Raise RunbookError unless a file holds what setup puts into it."""
        if mark.encode() not in path.read_bytes():
            fix = inv("setup", target=LOCAL)
            raise RunbookError("Setup has not been applied to the local stack", where=str(path), fix=fix)

    # Alerts, events and samples

    def silence(self, *matchers: Matcher) -> str:
        """Silence what these match, for an hour."""
        silence_id = Alertmanager(self.target.alertmanager).silence(
            matchers, author="stack.break", comment="for practice", ends_at=datetime.now(UTC) + _SILENCED_FOR
        )
        names = ", ".join(f"{one.name}={one.value}" for one in matchers)
        self.injected.add(InjectedFault(what=f"silenced {names}", silence=silence_id))
        return f"{names} is silenced: {silence_id}"

    def send_wave(self) -> None:
        """Create one lead and one job, kept as a traffic run."""
        fault_traffic.send_wave(self.directory, self.target)

    def send_twice(self) -> str:
        """Do what the runbook's loop does when it is run a second time: the same e-mail again, and a 409."""
        self.injected.add(InjectedFault(what="created a lead twice", sends=True))
        return f"run {fault_traffic.send_twice(self.directory, self.target)} ended with 409"

    def empty_prometheus(self) -> None:
        """Take its samples from Prometheus, so that no earlier series hides how a new one is born."""
        self.injected.add(InjectedFault(what="emptied Prometheus's database", sends=True))
        stack.stop_service(self.directory, "prometheus")
        shutil.rmtree(self.layout.data / "prometheus")
        stack.start_service(self.directory, "prometheus")
        self._wait_until_ready("prometheus")

    def wait_until_counted(self, at_least: int) -> None:
        """Wait until Prometheus has scraped the sink as it runs now, with so many series of the counter."""
        prometheus = Prometheus(self.target.prometheus)

        def counted() -> bool | Pending:
            series = prometheus.query(COUNTER)
            return len(series) >= at_least or Pending(f"{len(series)} series")

        self._wait_until_scraped("up")
        self._wait(counted, what=f"A sample of {at_least} series")

    def wait_until_scrape_fails(self) -> None:
        """Wait until Prometheus has tried to scrape the sink as it is configured now, and could not."""
        self._wait_until_scraped("down")

    def _wait_until_scraped(self, health: str) -> None:
        since, prometheus = datetime.now(UTC), Prometheus(self.target.prometheus)

        def scraped() -> bool | Pending:
            mine = [one for one in prometheus.targets() if one.job == self.target.prometheus.job]
            found = [one for one in mine if one.health == health and one.last_scrape and one.last_scrape > since]
            return bool(found) or Pending(f"targets {[(one.health, one.last_error) for one in mine]}")

        self._wait(scraped, what=f"A scrape of the sink that is {health}")

    def _wait(self, probe: Callable[[], bool | Pending], *, what: str) -> None:
        where = self.target.prometheus.url
        wait_until(probe, what=what, deadline_s=_READY_S, where=where, fix=inv("stack.mend"))

    def _wait_until_ready(self, name: str) -> None:
        def ready() -> bool | Pending:
            service = self._status(name)
            return (service.running and "not ready" not in service.detail) or Pending(service.detail)

        log = str(self._launcher.log_file(name))
        wait_until(ready, what=name, deadline_s=_READY_S, where=log, fix=inv("stack.mend"))

    def _status(self, name: str) -> ServiceStatus:
        services: Sequence[ServiceStatus] = stack.status(self.directory)
        for service in services:
            if service.name == name:
                return service
        names = ", ".join(service.name for service in services)
        raise RunbookError(f"The local stack has no {name}", where=str(self.layout.root), fix=f"it has {names}")


def _as_yaml(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """Return the change of a document as a change of bytes; comments and style are lost."""

    def changed(content: bytes) -> bytes:
        document = yaml.safe_load(content)
        change(document)
        return yaml.safe_dump(document).encode()

    return changed
