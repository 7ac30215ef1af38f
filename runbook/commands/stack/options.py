"""The options of the commands of the local stack."""

from dataclasses import dataclass

from runbook.options import JsonOption, TargetOptions, option


@dataclass(frozen=True, kw_only=True)
class DockerOption:
    """Which of the two local stacks is meant."""

    docker: bool = option(False, help="the stack in containers, target docker")


@dataclass(frozen=True, kw_only=True)
class StackOptions(JsonOption, DockerOption):
    """What `stack.down` and `stack.status` were asked for."""


@dataclass(frozen=True, kw_only=True)
class UpOptions(JsonOption, DockerOption):
    """What `stack.up` was asked for."""

    with_: str = option("", help="real programs for these services: kafka=real,keycloak=real,postgres=real")
    real: bool = option(False, help="real programs wherever they are available")


@dataclass(frozen=True, kw_only=True)
class BreakOptions(TargetOptions):
    """What `stack.break` was asked for."""

    code: str = option(help="a code of docs/FAULTS.md, such as KC_DOWN")


@dataclass(frozen=True, kw_only=True)
class MendOptions(JsonOption):
    """What `stack.mend` was asked for."""
