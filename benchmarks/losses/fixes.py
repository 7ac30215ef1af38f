"""Whether a printed fix, typed as it stands, leaves the stack worse than it was."""

import hashlib
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import Final, Self

from benchmarks.losses.oracle import in_kafka
from benchmarks.losses.world import World
from runbook.local_stack import stack

_PROGRAMS: Final = frozenset({"tail", "curl", "inv", "./inv", "python", "python3"})
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
    """Return the command with which a fix begins, up to a colon and a space; empty if it is none."""
    command, _, _ = fix.partition("\n")[0].partition(": ")
    program = command.partition(" ")[0]
    return command if program.rpartition("/")[2] in {name.rpartition("/")[2] for name in _PROGRAMS} else ""


def typed(fix: str, world: World) -> str:
    """Type the command of a fix; return what came of it, empty where it is none."""
    command = command_of(fix)
    if not command:
        return ""
    before = State.of(world)
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=world.directory,
        env=world.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    lost = before.lost_in(State.of(world))
    if lost:
        return f"worse: {command}: {', '.join(lost)}"
    return "not worse" if done.returncode == 0 else f"failed: {command}: exit code {done.returncode}"
