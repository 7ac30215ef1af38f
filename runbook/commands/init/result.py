"""What `init` came to."""

from dataclasses import dataclass
from typing import Literal

from runbook.model import CommandResult, Problem

SettingSource = Literal["default", "file", "environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSetting:
    """A setting that differs from its default here, and how that was found out."""

    group: str
    key: str
    value: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """A setting of the target: its value, and the place where it was set. A secret is "set" or "unset"."""

    group: str
    key: str
    value: str
    source: SettingSource
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InitResult(CommandResult):
    """The proposal, what it rests on, and what could not be found out; or, with --check, the settings as they are."""

    diff: str | None = None
    proposal: str | None = None
    found: tuple[FoundSetting, ...] | None = None
    unknown: tuple[Problem, ...] | None = None
    settings: tuple[SettingInForce, ...] | None = None
    wrong: tuple[Problem, ...] | None = None
