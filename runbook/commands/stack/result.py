"""What the commands of the local stack came to."""

from dataclasses import dataclass

from runbook.model import CommandResult, ServiceStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StackResult(CommandResult):
    """The services of the stack; None where they are not listed."""

    parts: tuple[ServiceStatus, ...] | None = None
