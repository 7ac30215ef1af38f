"""One claim about the flow: how it is looked at, and what is told when it does not hold.

A check is one `Check(...)` in `diagnosis/checks/HOP.py`. Its code, its place in the order of telling, its row in
docs/FAULTS.md, `--hop` and the parameters of the tests all follow from that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from runbook.invocation import inv
from runbook.model import Evidence

F = TypeVar("F")
Telling = Literal["in_flow", "after_flow", "last"]
TELLINGS: tuple[Telling, ...] = ("in_flow", "after_flow", "last")


class GraphError(ValueError):
    """The checks do not form a graph: a defect of this program, found when it is imported."""


@dataclass(frozen=True, slots=True)
class Ok:
    """The claim holds, and this was seen. `explains`: the check's diagnosis says why a healthy pipeline looks idle.

    Not `is_exercised`: nothing crossed this boundary of the flow in the time that was looked at.
    """

    evidence: tuple[Evidence, ...]
    explains: bool = False
    is_exercised: bool = True

    def __post_init__(self) -> None:
        _must_be_seen(self.evidence)


@dataclass(frozen=True, slots=True)
class Broken:
    """The claim does not hold: what was seen, and the values of the `{fields}` in the check's diagnosis and fix."""

    evidence: tuple[Evidence, ...]
    fields: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _must_be_seen(self.evidence)


@dataclass(frozen=True, slots=True)
class NotChecked:
    """The claim could not be looked at: `why`, `where`, and what would make it possible.

    `by` is the code of a need that was not checked, where that is the reason.
    """

    why: str
    where: str = ""
    fix: str = ""
    by: str = ""


Finding = Ok | Broken | NotChecked


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[F]):
    """One claim about one hop, named by the fault that it finds when it does not hold.

    `diagnosis` says what is wrong then, `fix` what to do next. Both may have `{fields}`, which the finding fills in,
    and `{inv:setup}`: a command of this tool as it is typed here. `{setting:grafana.url}`, with `setting=facts.places`,
    is the place where that is set. `sign` says in docs/FAULTS.md what tells the fault.
    `needs` are codes. Where a code stands at several hops (any container can exit), a need is written `hop.CODE`.
    `unless` are codes, too: a broken one explains this one, which is blocked then; in any other case it is looked at.
    Faults are told in the order of the hops, then in that of the hop's module. `told` is for the few that come later:
    what is known less exactly than by its callers ("after_flow"), and what is no outage ("last"). `of_runtime` is for
    what only a runtime can say: it is not asked where there is none.
    """

    code: str
    hop: str
    claim: str
    diagnosis: str
    sign: str
    fix: str
    run: Callable[[F], Finding]
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    told: Telling = "in_flow"
    of_runtime: bool = False

    def found(self, facts: F) -> Finding:
        """Look. Raises whatever `run` raises, and KeyError where a finding leaves one of our `{fields}` open."""
        finding = self.run(facts)
        if isinstance(finding, Broken):
            self.words(finding)
        return finding

    def words(self, broken: Broken) -> tuple[str, str]:
        """Return diagnosis and fix, filled in with what was seen."""
        values = {**broken.fields, "inv": _Commands()}
        return self.diagnosis.format_map(values), self.fix.format_map(values)


class _Commands:
    """What `{inv:setup}` in a text is formatted with."""

    def __format__(self, command: str) -> str:
        return inv(command)


def broken(*evidence: Evidence, **fields: object) -> Broken:
    """Return the finding that the claim does not hold, with what the check's diagnosis and fix have to be filled in."""
    return Broken(evidence, fields)


def _must_be_seen(evidence: tuple[Evidence, ...]) -> None:
    if not evidence:
        raise GraphError("a finding needs evidence")
