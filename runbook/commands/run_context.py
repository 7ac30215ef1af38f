"""What one command works with: target, runtime, run log, screen and lock as one object."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from runbook.commands.setting_warnings import setting_warnings
from runbook.errors import RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.locks import target_lock
from runbook.model import Problem
from runbook.observer import Observer
from runbook.runs.new_run import begin_run
from runbook.runs.null_run import NullRun
from runbook.runs.retention import remove_old_runs
from runbook.runs.run_log import RunLog
from runbook.settings import DEFAULT_TARGET, LOCAL, STACK_DIR, STACKS, STATE_DIR, Target, load_target, target_name
from runbook.systems.runtime import Runtime

CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""Where this program's own files are: a checkout, or the folder of an installed package."""


class RunContext:
    """One command at work. Settings, runtime and run log are made when they are first asked for."""

    def __init__(
        self,
        command: str,
        *,
        screen: Observer,
        target: str | Target | None = None,
        directory: Path | None = None,
        runtime: Runtime | None = None,
        run_log: RunLog | None = None,
        is_recorded: bool = True,
        warns: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Take the command's name, who watches it, and the target (None: `RUNBOOK_TARGET`, else `live`).

        A command that is not recorded keeps no run log: looking does not fill the history. `not_undone` tells, while
        files are changed and after an undo that failed, what is not as it was before the command. `warns` is told of
        secrets in runbook.toml, once.
        """
        self.command = command
        self.screen = screen
        self.directory = directory or Path.cwd()
        self.state_dir = self.directory / STATE_DIR
        self.target_name = target.name if isinstance(target, Target) else target_name(target)
        self._given_target = target if isinstance(target, Target) else None
        self._given_runtime = runtime
        self.warns = warns
        self._is_recorded = is_recorded
        self._is_locked = False
        self._has_warned = False
        self.not_undone: RunbookError | None = None
        if run_log is not None:
            self.__dict__["run_log"] = run_log

    @cached_property
    def target(self) -> Target:
        """The settings of the target. Raises UsageError."""
        if self._given_target:
            return self._given_target
        loaded = load_target(self.target_name, directory=self.directory)
        for warning in setting_warnings(loaded):
            self.warns(warning)
        return loaded

    @cached_property
    def runtime(self) -> Runtime:
        """What runs the services of the target."""
        return self.runtime_of(self.target)

    def runtime_of(self, target: Target) -> Runtime:
        """Return what runs the services of a target with these settings; nothing is asked yet."""
        if self._given_runtime is not None:
            return self._given_runtime
        if target.runtime.kind == "processes":
            from runbook.systems.processes.client import ProcessRuntime

            return ProcessRuntime(self.directory / STACK_DIR)
        if not target.runtime.is_managed:
            from runbook.systems.unmanaged.client import UnmanagedRuntime

            sink = target.sink
            logs = {sink.service: sink.log_file} if sink.log_file else {}
            where, log_setting = target.runtime.place_of("kind"), sink.place_of("log_file")
            return UnmanagedRuntime(logs, where=where, log_setting=log_setting)
        from runbook.systems.docker.client import DockerRuntime

        return DockerRuntime(target.runtime)

    @cached_property
    def run_log(self) -> RunLog:
        """The log of this run, begun when it is first asked for; old runs then make room.

        Raises RunbookError if it cannot be written.
        """
        if not self._is_recorded:
            return NullRun()
        run_log = begin_run(self.state_dir, task=self.command, target=self.target_name)
        with suppress(RunbookError):  # settings that cannot be read are reported by what needs them
            remove_old_runs(self.state_dir, self.target.runs, target=self.target_name)
        return run_log

    @property
    def begun_run_log(self) -> RunLog | None:
        """The log of this run if there is one by now."""
        run_log: RunLog | None = self.__dict__.get("run_log")
        return None if isinstance(run_log, NullRun) else run_log

    def untold_warnings(self) -> tuple[str, ...]:
        """Return what the settings warn about, once, as soon as a step has read them."""
        target: Target | None = self.__dict__.get("target")
        if target is None or self._has_warned:
            return ()
        self._has_warned = True
        return target.warnings

    def problem(self, error: RunbookError) -> Problem:
        """Return an error in its three parts; its fix says where a stack or runs are that may have been meant."""
        hint = self.local_stack_hint if isinstance(error, UnreachableError) else ""
        fix = "; ".join(part for part in (error.fix, hint, self._checkout_hint(error)) if part)
        return Problem(seen=error.seen, where=error.where, fix=fix)

    @property
    def local_stack_hint(self) -> str:
        """Where the target is `live` and a local stack is up here: how it is reached. Else nothing."""
        is_up = (self.directory / STACKS[LOCAL][0] / "target.toml").is_file()
        if self.target_name != DEFAULT_TARGET or not is_up:
            return ""
        return f"a local stack is up here: {inv(self.command, target=LOCAL)}"

    def _checkout_hint(self, error: RunbookError) -> str:
        """Say that the checkout has what was looked for in this folder: its stack, or its runs."""
        for name in (STACK_DIR, STATE_DIR):
            is_there = self.directory != CHECKOUT and (CHECKOUT / name).is_dir()
            if is_there and str(self.directory / name) in error.where:
                return f"those of the checkout are in {CHECKOUT / name}: cd {CHECKOUT}"
        return ""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the target's lock. A command within a command that holds it goes on under the same lock.

        Raises LockedError, which names the holder.
        """
        if self._is_locked:
            yield
            return
        with target_lock(self.state_dir, target=self.target_name):
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False
