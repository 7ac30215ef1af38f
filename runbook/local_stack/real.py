"""The services for which the real program can run instead of a stand-in, and where these programs come from."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from runbook import platforms
from runbook.errors import RunbookError, UsageError
from runbook.invocation import inv
from runbook.local_stack.kafka import found_kafka, prepare_kafka
from runbook.local_stack.keycloak import found_keycloak, prepare_keycloak
from runbook.local_stack.layout import Layout
from runbook.local_stack.maven import JavaProgram
from runbook.local_stack.ports import Ports
from runbook.local_stack.postgres import Postgres, found_postgres, prepare_postgres

Says = Callable[[str], None]

_FINDERS: MappingProxyType[str, Callable[[Says], Any]] = MappingProxyType(
    {"kafka": found_kafka, "keycloak": found_keycloak, "postgres": lambda _: found_postgres()}
)
REAL = frozenset(_FINDERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The real programs that were asked for; None where a stand-in plays."""

    kafka: JavaProgram | None = None
    keycloak: JavaProgram | None = None
    postgres: Postgres | None = None

    @property
    def names(self) -> frozenset[str]:
        """Return the names of those that play."""
        return frozenset(name for name in REAL if getattr(self, name) is not None)

    def prepare(self, layout: Layout, ports: Ports) -> None:
        """Write what each of them reads at its start."""
        if self.kafka:
            prepare_kafka(layout, ports)
        if self.keycloak:
            prepare_keycloak(layout, self.keycloak)
        if self.postgres:
            prepare_postgres(layout, ports, self.postgres)


def wanted_real(text: str) -> frozenset[str]:
    """Return the names in `kafka=real,keycloak=real`. Raises UsageError."""
    names = []
    for choice in text.split(","):
        name, _, kind = choice.strip().partition("=")
        if name not in REAL or kind != "real":
            raise UsageError(
                f"{choice.strip()!r} is not understood",
                where="option --with",
                fix=f"choose from {','.join(f'{name}=real' for name in sorted(REAL))}",
            )
        names.append(name)
    return frozenset(names)


def found_programs(real: frozenset[str], says: Says) -> Programs:
    """Find the real programs of these names; Maven fetches what it can. Raises RunbookError for one that is missing."""
    unknown = sorted(real - REAL)
    if unknown:
        raise UsageError(
            f"There is no real program for {unknown[0]!r}",
            where="stack.up",
            fix=f"choose from {', '.join(sorted(REAL))}",
        )
    return Programs(**{name: _found(name, says) for name in sorted(real)})


def all_there_is(says: Says) -> frozenset[str]:
    """Return the names of the real programs that are here or can be fetched, and say what is missing for the others."""
    there = set()
    for name in _FINDERS:
        try:
            _found(name, says)
            there.add(name)
        except RunbookError as error:
            says(f"no real {name}: {error.seen} ({error.fix})")
    return frozenset(there)


def _found(name: str, says: Says) -> Any:  # noqa: ANN401 - a JavaProgram or Postgres
    """Return a program that can be started here. Raises RunbookError."""
    if not platforms.has_shell():
        raise RunbookError(
            f"The real {name} of the local stack is started by a POSIX shell, and there is none",
            where=str(platforms.SHELL),
            fix=f"use the stand-in ({inv('stack.up')}), containers ({inv('stack.up --docker')}), or Linux in WSL",
        )
    return _FINDERS[name](says)
