"""What `logs` came to."""

from dataclasses import dataclass

from runbook.model import CommandResult, Line


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsResult(CommandResult):
    """The lines that were asked for."""

    lines: tuple[Line, ...] | None = None
