"""How this tool was called, and its commands as the operator types them here.

Every command that a message, a fix or a note prints is made by `inv`: it names the program that was called (`./inv`,
`inv.cmd`, `inv`, `crm-runbook`) and the target that this run works on, so that it can be copied as it stands.
"""

import os
from dataclasses import dataclass
from typing import Final

from runbook.shell import quoted

PROGRAM_VARIABLE: Final = "CRM_RUNBOOK_PROGRAM"
"""Set by the wrappers `inv` and `inv.cmd` to what was typed."""

_WITHOUT_TARGET: Final = frozenset({"demo", "history", "report", "test"})
_WITHOUT_TARGET_PREFIXES: Final = ("stack.", "dev.", "--")


@dataclass(slots=True)
class _Invocation:
    program: str = "inv"
    target: str = ""


_current: Final = _Invocation()


def called_as(program: str) -> None:
    """Note the program that the operator typed; `CRM_RUNBOOK_PROGRAM` goes first, and is not handed on to children."""
    _current.program = quoted(os.environ.pop(PROGRAM_VARIABLE, "") or program)


def works_on(target: str) -> None:
    """Note the target that printed commands must name; empty where no option is needed to reach it."""
    _current.target = target


def program() -> str:
    """Return the program as it was typed."""
    return _current.program


def inv(command: str, *, target: str | None = None) -> str:
    """Return a command of this tool as it is typed here, with its target: `inv("rollback --run X")`.

    `target` overrides the target of this run; the commands of the local stack and of the developers take none.
    """
    name, _, options = command.partition(" ")
    meant = _current.target if target is None else target
    takes_none = name in _WITHOUT_TARGET or name.startswith(_WITHOUT_TARGET_PREFIXES)
    chosen = "" if takes_none or not meant else f"--target {meant}"
    return " ".join(part for part in (_current.program, name, chosen, options) if part)
