"""Whether a printed fix, typed as it stands, leaves the stack worse than it was."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, Self

from benchmarks.losses.oracle import in_kafka
from benchmarks.losses.world import World
from runbook.local_stack import stack

_PROGRAMS: Final = frozenset({"tail", "curl", "inv", "./inv", "python", "python3"})
_OF_THE_PRODUCT: Final = frozenset({"inv", "./inv"})
_MAY_WRITE: Final = "setup"  # it changes the files that it shows, and nothing else
_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a fix must not take away: `files` are hashes of what Prometheus and Grafana read."""

    running: frozenset[str]
    messages: Counter[str]
    files: dict[str, str]

    @classmethod
    def of(cls, world: World) -> Self:
        """Read it."""
        messages: Counter[str] = Counter()
        for (topic, _), number in in_kafka(world).items():
            messages[topic] += number
        paths = sorted(path for path in world.layout.monitoring.rglob("*") if path.is_file())
        return cls(
            running=frozenset(one.name for one in stack.status(world.directory) if one.running),
            messages=messages,
            files={str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        )

    def lost_in(self, after: Self) -> list[str]:
        """Return what is gone or changed in a later state."""
        lost = [f"{name} has ended" for name in sorted(self.running - after.running)]
        lost += [f"{number} messages of {topic} are gone" for topic, number in (self.messages - after.messages).items()]
        return lost + [f"{path} has changed" for path, text in self.files.items() if after.files.get(path) != text]


def command_of(fix: str) -> str:
    """Return the command with which a fix begins, up to a colon or semicolon and a space; empty if it is none."""
    command = re.split(r"[:;] ", fix.partition("\n")[0])[0]
    program = command.partition(" ")[0]
    return command if program.rpartition("/")[2] in {name.rpartition("/")[2] for name in _PROGRAMS} else ""


def _runnable(command: str) -> str:
    """Return it for a shell that has no `inv` in its path."""
    program, _, rest = command.partition(" ")
    yes = " --yes" if rest.startswith(_MAY_WRITE) else ""
    return f"{sys.executable} -m runbook {rest}{yes}" if program in _OF_THE_PRODUCT else command


def typed(fix: str, world: World) -> str:
    """Type the command of a fix; return what came of it, empty where it is none."""
    command = command_of(fix)
    if not command:
        return ""
    before = State.of(world)
    done = subprocess.run(
        ["/bin/sh", "-c", _runnable(command)],
        cwd=world.directory,
        env=world.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    after = State.of(world)
    lost = before.lost_in(replace(after, files=before.files) if f" {_MAY_WRITE}" in command else after)
    if lost:
        return f"worse: {command}: {', '.join(lost)}"
    return "not worse" if done.returncode == 0 else f"failed: {command}: exit code {done.returncode}"
