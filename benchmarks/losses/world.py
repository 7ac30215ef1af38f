"""One local stack, the programs beside it, and what its API has answered since the case began."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.losses.asking import ask_prometheus, fetched
from runbook.local_stack import stack
from runbook.local_stack.layout import Layout
from runbook.settings import LOCAL, Target, load_target
from runbook.systems.processes.launcher import Launch, Launcher
from runbook.waiting import Pending, wait_until

CHECKOUT: Final = Path(__file__).parents[2]
SINK: Final = "crm-events-sink"
_COMMAND_S: Final = 150.0
_READY_S: Final = 60.0
_STOP_S: Final = 5.0
_HANDED_ON: Final = frozenset({"PATH", "HOME", "LD_LIBRARY_PATH"})

Document = dict[str, Any]


@dataclass(slots=True)
class World:
    """A stack in a folder. `created`: the rows of the ledgers; `pages`: of the replicas; `targets`: the sink's job's.

    `noted`: what a step leaves for a later one, such as the name of a program to be ended.
    """

    directory: Path
    created: list[Document] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    noted: dict[str, str] = field(default_factory=dict)
    until_end: ExitStack = field(default_factory=ExitStack)
    _programs: int = 0

    # The stack

    def up(self, options: Sequence[str] = ()) -> None:
        """Bring it up, and set it up."""
        self.command("stack.up", *options)
        self.command("setup", "--target", LOCAL, "--yes")
        self.targets.clear()

    def down(self) -> None:
        """End it and what is beside it."""
        self.end_case()
        Launcher(self.directory / "beside").stop_strays(timeout_s=_STOP_S)
        self.command("stack.down")

    def end_case(self) -> None:
        """End what a case does until its end."""
        self.until_end.close()
        self.created.clear()

    def command(self, *words: str) -> tuple[int, Document]:
        """Carry out a command of the product as an operator does; return its exit code and its document."""
        done = subprocess.run(
            self.argv(*words),
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )
        try:
            document: Document = json.loads(done.stdout)
        except ValueError:
            raise RuntimeError(f"{words}: exit code {done.returncode}\n{done.stderr.decode()[-2000:]}") from None
        return done.returncode, document

    @staticmethod
    def argv(*words: str) -> list[str]:
        """Return the command line of a command of the product."""
        return [sys.executable, "-m", "runbook", *words, "--json"]

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the variables of this process without settings of the product."""
        return {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")}

    @property
    def layout(self) -> Layout:
        """Where the stack's files are."""
        return Layout.of(self.directory)

    @property
    def target(self) -> Target:
        """Its settings."""
        return load_target(LOCAL, directory=self.directory)

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self.layout.bootstrap.read_text("ascii").strip()

    def prometheus(self, path: str, **form: str) -> Any:  # noqa: ANN401  # JSON
        """Return `data` of Prometheus's answer."""
        return ask_prometheus(self.target.prometheus.url, path, **form)

    # Its parts

    def launch_of(self, name: str) -> Launch:
        """Return how a part was last started."""
        record = Launcher(self.layout.root).record(name)
        if record is None:
            raise RuntimeError(f"{name} was never started")
        return record.launch

    def start_as(self, name: str, launch: Launch) -> None:
        """Start a part that is down in a way of one's own."""
        Launcher(self.layout.root).start(name, launch)

    def instead(self, name: str, *command: str, is_awaited: bool = True) -> None:
        """Start another Python program in the place of a part, and wait until it is ready."""
        planned = self.launch_of(name)
        stack.stop_service(self.directory, name)
        variables = {**planned.environment, "PYTHONPATH": str(CHECKOUT)}
        self.start_as(name, replace(planned, command=(planned.command[0], *command), environment=variables))
        if is_awaited:
            self.wait_until_ready(name)

    def start(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a part as it was planned, plus these variables."""
        stack.start_service(self.directory, name, extra_env=environment)
        self.wait_until_ready(name)

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End a part."""
        stack.stop_service(self.directory, name, kill=kill)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part."""
        record = Launcher(self.layout.root).record(name)
        if record is not None:
            os.kill(record.pid, number)

    def is_running(self, name: str) -> bool:
        """Say whether a part runs."""
        [one] = [one for one in stack.status(self.directory) if one.name == name]
        return one.running

    def wait_until_ready(self, name: str) -> None:
        """Wait until stack.status calls it ready."""

        def ready() -> bool | Pending:
            [one] = [one for one in stack.status(self.directory) if one.name == name]
            return (one.running and "not ready" not in one.detail) or Pending(one.detail)

        self.wait(ready, name)

    # Programs beside it

    def beside(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Start a Python program beside the stack; return its name there."""
        return self.program_beside((sys.executable, "-m", module, *arguments), environment)

    def program_beside(self, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> str:
        """Start any program beside the stack."""
        self._programs += 1
        name = f"{self._programs}"
        variables = {name: value for name, value in os.environ.items() if name in _HANDED_ON}
        variables |= {"PYTHONPATH": str(CHECKOUT), **(environment or {})}
        (self.directory / "beside").mkdir(exist_ok=True)
        launch = Launch(command=command, directory=str(self.directory / "beside"), environment=variables)
        Launcher(self.directory / "beside").start(name, launch)
        return name

    def log_beside(self, name: str) -> str:
        """Return what a program beside the stack has said."""
        return Launcher(self.directory / "beside").log_file(name).read_text("utf-8", "replace")

    def stop_beside(self, name: str) -> None:
        """End a program beside the stack."""
        Launcher(self.directory / "beside").stop([name], timeout_s=_STOP_S)

    def kill_beside(self, name: str) -> None:
        """End a program beside the stack with SIGKILL."""
        Launcher(self.directory / "beside").kill(name)

    # Waiting

    def wait(self, probe: Callable[[], bool | Pending], what: str, deadline_s: float = _READY_S) -> None:
        """Wait for a state of the stack."""
        wait_until(probe, what=what, deadline_s=deadline_s, where=str(self.directory), fix="read its log")

    def wait_for_answer(self, url: str) -> None:
        """Wait until an address answers 200."""

        def answers() -> bool | Pending:
            try:
                return bool(fetched(url)) or Pending("empty")
            except OSError as error:
                return Pending(str(error))

        self.wait(answers, url)
