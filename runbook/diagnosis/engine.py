"""The graph of the checks: which claims hold, which is the first broken one, and what only fails because of it.

A check that needs a broken one is blocked, not a second diagnosis. A check that could not run is not checked, never
ok, and so is what needs it. Hops that do not need each other are looked at side by side.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Final, Generic, TypeVar

from runbook.diagnosis.check import TELLINGS, Broken, Check, Finding, GraphError, NotChecked, Ok
from runbook.errors import RunbookError
from runbook.model import CheckResult, CheckStatus, Evidence

F = TypeVar("F")
_LOOK_S: Final = 0.2  # on Windows, Ctrl-C is heard between two waits only


@dataclass(frozen=True, slots=True)
class Blocked:
    """The claim cannot hold while the check of code `by` is broken."""

    by: str


Settled = Finding | Blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined(Generic[F]):
    """A check and what became of it. `rank` is its place in the order of telling, counted from 0."""

    check: Check[F]
    rank: int
    settled: Settled

    @property
    def result(self) -> CheckResult:
        """The same in the words of the record and of `--json`."""
        settled = self.settled
        return CheckResult(
            code=self.check.code,
            hop=self.check.hop,
            claim=self.check.claim,
            status=_status(settled),
            by=settled.by if isinstance(settled, Blocked | NotChecked) else "",
            evidence=_evidence(self.check, settled),
        )


class Graph(Generic[F]):
    """Checks in the order in which faults are told, each with the checks that it needs."""

    def __init__(self, checks: Sequence[Check[F]], *, hops: Sequence[str]) -> None:
        """Resolve the needs. `hops` are in the order of the flow; within one, the order of `checks` counts.

        Raises GraphError for a duplicate, a hop outside the flow, an unknown or ambiguous need, a cycle.
        """
        self._needs = _resolved(checks)
        _refuse_strangers(checks, hops)
        _refuse_cycles(self._needs)
        self._hops = tuple(hops)
        self.checks = tuple(sorted(checks, key=lambda one: (TELLINGS.index(one.told), self._hops.index(one.hop))))

    def only(self, hop: str) -> "Graph[F]":
        """Return the graph of one hop's checks and of everything that they need."""
        wanted: set[Check[F]] = set()
        queue = [check for check in self.checks if check.hop == hop]
        while queue:
            check = queue.pop()
            if check not in wanted:
                wanted.add(check)
                queue.extend(self._needs[check])
        return Graph([check for check in self.checks if check in wanted], hops=self._hops)

    def without(self, is_left_out: Callable[[Check[F]], bool]) -> "Graph[F]":
        """Return the graph of the other checks: what needed one that is left out needs what that one needed."""

        def needs(check: Check[F]) -> Iterator[Check[F]]:
            for need in self._needs[check]:
                if not is_left_out(need):
                    yield need
                elif not _is_called(need, check.unless):
                    yield from needs(need)

        def cut(check: Check[F]) -> Check[F]:
            left = dict.fromkeys(needs(check))
            unless = tuple(_name(need) for need in left if _is_called(need, check.unless))
            return replace(check, needs=tuple(_name(need) for need in left if _name(need) not in unless), unless=unless)

        return Graph([cut(check) for check in self.checks if not is_left_out(check)], hops=self._hops)

    def examine(self, facts: F, *, deadline_s: float) -> tuple[Examined[F], ...]:
        """Run every check whose needs hold, side by side, and return all of them in the order of telling.

        What has not answered after `deadline_s` seconds is not checked.
        """
        settled = _Examination(self._needs, facts, deadline_s).settled()
        return tuple(Examined(check=check, rank=rank, settled=settled[check]) for rank, check in enumerate(self.checks))


class _Examination(Generic[F]):
    """One walk over the graph: starts what has become ready, collects what has answered."""

    def __init__(self, needs: Mapping[Check[F], Sequence[Check[F]]], facts: F, deadline_s: float) -> None:
        self._needs = needs
        self._facts = facts
        self._deadline_s = deadline_s
        self._end = time.monotonic() + deadline_s
        self._settled: dict[Check[F], Settled] = {}
        self._running: dict[Future[Finding], Check[F]] = {}

    def settled(self) -> Mapping[Check[F], Settled]:
        """Walk until every check is settled. A check that hangs is left behind; its client's time-out ends it."""
        sorter: TopologicalSorter[Check[F]] = TopologicalSorter(self._needs)
        sorter.prepare()
        pool = ThreadPoolExecutor(max_workers=max(1, len(self._needs)), thread_name_prefix="check")
        try:
            while sorter.is_active():
                for check in sorter.get_ready():
                    inherited = _inherited(check, [(need, self._settled[need]) for need in self._needs[check]])
                    if inherited is None:
                        self._running[pool.submit(check.found, self._facts)] = check
                    else:
                        self._settled[check] = inherited
                        sorter.done(check)
                for check, finding in self._answers():
                    self._settled[check] = finding
                    sorter.done(check)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return self._settled

    def _answers(self) -> list[tuple[Check[F], Finding]]:
        """Wait for the next findings; at the deadline, give up on all that still run."""
        left = self._end - time.monotonic()
        looking_s = max(0.0, min(left, _LOOK_S))
        finished, _ = wait(self._running, timeout=looking_s, return_when=FIRST_COMPLETED)
        if finished or looking_s < left:
            return [(self._running.pop(future), _found(future)) for future in finished]
        late = NotChecked(f"no answer within {self._deadline_s:g} s")
        unanswered = list(self._running.values())
        self._running.clear()
        return [(check, late) for check in unanswered]


def _found(future: Future[Finding]) -> Finding:
    """Return the finding. Whatever a check raises is a reason not to know, never a diagnosis."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, RunbookError):
        return NotChecked(error.seen, where=error.where, fix=error.fix)
    if isinstance(error, Exception):
        return NotChecked(f"the check itself failed: {type(error).__name__}: {error}")
    raise error


def _inherited(check: Check[F], needs: Sequence[tuple[Check[F], Settled]]) -> Blocked | NotChecked | None:
    """Return what the needs, in the order of the flow, make of a check; None when it may run."""
    for need, settled in needs:
        if isinstance(settled, Broken):
            return Blocked(need.code)
    hard = [(need, settled) for need, settled in needs if not _is_called(need, check.unless)]
    for _, settled in hard:
        if isinstance(settled, Blocked):
            return settled
    for need, settled in hard:
        if isinstance(settled, NotChecked):
            why = f"needs {need.code} ({need.claim}), which was not checked"
            return NotChecked(why, fix=settled.fix, by=settled.by or need.code)
    return None


def _resolved(checks: Sequence[Check[F]]) -> dict[Check[F], tuple[Check[F], ...]]:
    names = [(check.hop, check.code) for check in checks]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise GraphError(f"two checks are called {min(twice)}")
    return {check: tuple(_need(checks, check, code) for code in (*check.unless, *check.needs)) for check in checks}


def _need(checks: Sequence[Check[F]], check: Check[F], name: str) -> Check[F]:
    found = [other for other in checks if _is_called(other, (name,))]
    if len(found) != 1:
        raise GraphError(f"{check.code} at {check.hop} needs {name}, which is {'ambiguous' if found else 'unknown'}")
    return found[0]


def _is_called(check: Check[F], names: Sequence[str]) -> bool:
    return check.code in names or f"{check.hop}.{check.code}" in names


def _name(check: Check[F]) -> str:
    return f"{check.hop}.{check.code}"


def _refuse_strangers(checks: Sequence[Check[F]], hops: Sequence[str]) -> None:
    for check in checks:
        if check.hop not in hops:
            raise GraphError(f"{check.code} stands at {check.hop}, which is no hop of the flow")


def _refuse_cycles(needs: Mapping[Check[F], Sequence[Check[F]]]) -> None:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        codes = " needs ".join(check.code for check in error.args[1])
        raise GraphError(f"the needs go in a circle: {codes}") from None


def _status(settled: Settled) -> CheckStatus:
    match settled:
        case Ok():
            return "ok"
        case Broken():
            return "broken"
        case Blocked():
            return "blocked"
        case NotChecked():
            return "not_checked"


def _evidence(check: Check[F], settled: Settled) -> tuple[Evidence, ...]:
    match settled:
        case Ok(evidence=evidence) | Broken(evidence=evidence):
            return evidence
        case NotChecked(why=why, where=where):
            return (Evidence(source=where or check.hop, saw=why),)
        case Blocked():
            return ()
