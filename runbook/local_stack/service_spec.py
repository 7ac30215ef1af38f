"""One service of the local stack, and the whole plan."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.systems.processes.launcher import Launch

Kind = Literal["real", "stand-in"]

TOPICS = ("apexflow.leads.created", "apexflow.jobs.created")
PARTITIONS = 4
# Nothing else: what is exported for production stays out. Windows starts no program without the second line.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"),
    *("SYSTEMROOT", "COMSPEC", "PATHEXT", "TEMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service of the stack: `name` as in the settings, `plays` for people, `ready` as in readiness.py.

    `needs` are ready before it starts. `follows` are those of them whose new start makes it useless: they come back
    at another address. `topics` are created as soon as it is ready, before anybody who needs it starts.
    `patience_s` is how long it may take on a busy machine.
    """

    name: str
    plays: str
    kind: Kind
    launch: Launch
    ready: str
    address: str
    ports: tuple[int, ...]
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    patience_s: float = 60.0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """The whole stack, as `stack.up` decided it before anything was started; `real` are the choices of real.py."""

    ports: Ports
    services: tuple[ServiceSpec, ...]
    real: frozenset[str] = frozenset()

    def service(self, name: str) -> ServiceSpec:
        """Return the service of that name. Raises KeyError."""
        return {service.name: service for service in self.services}[name]


def saved_plan(layout: Layout) -> StackPlan | None:
    """Return the plan of the stack that is there; None without one, or if it cannot be read."""
    try:
        return msgspec.json.decode(layout.plan.read_bytes(), type=StackPlan)
    except (OSError, msgspec.DecodeError):
        return None


def inherited() -> Mapping[str, str]:
    """Return what a service gets of our own environment."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def local_url(port: int) -> str:
    """Return the address of an HTTP port."""
    return f"http://127.0.0.1:{port}"
