"""What was found out about an installation while it was looked at: settings, remarks, and what nothing could tell."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runbook.errors import RunbookError
from runbook.model import Problem
from runbook.settings import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A setting that was found out and differs from what is set, and how."""

    group: str
    key: str
    value: str | Path
    why: str


@dataclass(slots=True)
class Survey:
    """The findings so far; `target` has them, so that the next look is made with what the last one found."""

    target: Target
    found: list[Found] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[Problem] = field(default_factory=list)
    answering: list[str] = field(default_factory=list)

    @property
    def is_anything_known(self) -> bool:
        """Whether anything of an installation was seen."""
        return bool(self.answering or self.remarks or self.found)

    def is_open(self, group: str, key: str) -> bool:
        """Whether a setting may still be found out: nobody has set it."""
        is_found = any((one.group, one.key) == (group, key) for one in self.found)
        return not is_found and self.target.groups[group].source(key).kind == "default"

    def finds(self, group: str, key: str, value: str | Path, why: str) -> None:
        """Keep a setting unless the operator has set it, or it is the default; the target has it from now on."""
        settings = self.target.groups[group]
        if getattr(settings, key) == value or not self.is_open(group, key):
            return
        self.found.append(Found(group=group, key=key, value=value, why=why))
        changed: Any = {group: settings.model_copy(update={key: value})}
        self.target = replace(self.target, **changed)

    def remarks_on(self, group: str, remark: str) -> None:
        """Keep what an operator may want to know where the settings of a group stand."""
        self.remarks.setdefault(group, []).append(remark)

    def cannot_tell(self, seen: str, *, where: str, fix: str) -> None:
        """Keep what could not be found out, where it was looked for, and how it can be."""
        problem = Problem(seen=seen, where=where, fix=fix)
        if problem not in self.unknown:
            self.unknown.append(problem)

    def met(self, error: RunbookError) -> None:
        """Keep what an error kept from being found out."""
        self.cannot_tell(error.seen, where=error.where, fix=error.fix)
