"""The list of cases, as data."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

LIST: Final = Path(__file__).with_name("cases.toml")

Oracle = Literal["api-kafka", "kafka-sink", "sink-prometheus", "kafka-prometheus", "prometheus-grafana", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One injection, or one decoy, which has no `boundary`. See cases.toml for the meaning of each field."""

    name: str
    what: str
    do: tuple[str, ...]
    boundary: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    oracle: Oracle = ""
    up: tuple[str, ...] = ()
    group: str = ""

    @property
    def is_injection(self) -> bool:
        """Whether something is lost, doubled or distorted."""
        return bool(self.boundary)

    @classmethod
    def of(cls, table: dict[str, str | list[str]]) -> Self:
        """Return the case of a table of the list."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})  # type: ignore[arg-type]  # the loader's own test checks the names


def cases() -> tuple[Case, ...]:
    """Return all cases in the order of the list."""
    tables = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return tuple(Case.of(table) for kind in ("injection", "decoy") for table in tables[kind])


def digest() -> str:
    """Return the SHA-256 of the list."""
    return hashlib.sha256(LIST.read_bytes()).hexdigest()


def runs_of(chosen: Sequence[Case]) -> list[list[Case]]:
    """Return the cases by stack: those of a group in order, every other one alone."""
    stacks: dict[str, list[Case]] = {}
    for case in chosen:
        stacks.setdefault(case.group or f"{case.name} alone", []).append(case)
    return list(stacks.values())
