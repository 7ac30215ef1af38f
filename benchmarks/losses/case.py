"""The list of cases, as data."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

LISTS: Final = Path(__file__).with_name("lists")
NAMES: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")

Oracle = Literal["api-kafka", "kafka-sink", "sink-prometheus", "kafka-prometheus", "prometheus-grafana", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One injection, or one decoy, which has no `boundary`. See lists/first.toml for the meaning of each field."""

    of_list: str = ""
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
    def of(cls, of_list: str, table: dict[str, str | list[str]]) -> Self:
        """Return the case of a table of a list."""
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
        return cls(of_list=of_list, **fields)  # type: ignore[arg-type]  # the loader's own test checks the names


def cases(names: Sequence[str] = NAMES) -> tuple[Case, ...]:
    """Return the cases of these lists, each in its order."""
    tables = [(name, tomllib.loads(_file(name).read_text(encoding="utf-8"))) for name in names]
    return tuple(Case.of(name, one) for name, table in tables for kind in ("injection", "decoy") for one in table[kind])


def digest(name: str) -> str:
    """Return the SHA-256 of a list."""
    return hashlib.sha256(_file(name).read_bytes()).hexdigest()


def _file(name: str) -> Path:
    return LISTS / f"{name}.toml"


def runs_of(chosen: Sequence[Case]) -> list[list[Case]]:
    """Return the cases by stack: those of a group in order, every other one alone."""
    stacks: dict[str, list[Case]] = {}
    for case in chosen:
        stacks.setdefault(case.group or f"{case.name} alone", []).append(case)
    return list(stacks.values())
