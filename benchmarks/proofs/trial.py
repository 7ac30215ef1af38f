"""One run: traffic with what happens during it, what happens after it, verify, and what is true."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.proofs.disturbances import disturb
from benchmarks.proofs.foreign import decoys, produce
from benchmarks.proofs.judge import Defect, judged, reasons
from benchmarks.proofs.lab import SINK, Lab
from benchmarks.proofs.oracle import Run, baseline, broken_place, truth
from benchmarks.proofs.program import Ended
from benchmarks.proofs.scenario import BROKEN_SINK, Scenario, Step
from runbook.commands.run_context import RunContext
from runbook.commands.traffic.options import TrafficOptions
from runbook.commands.traffic.steps import traffic
from runbook.console import document
from runbook.observer import NullObserver

_TIMEOUT_S: Final = 20
_TIMEOUT_OF_A_LOSS_S: Final = 8
_TENANT: Final = "acme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `problem` is why it could not be examined; then it proves nothing, and is counted as that."""

    scenario: Scenario
    duration_s: float
    exit_code: int | None = None
    lost: str = ""
    excuses: Mapping[str, str] = field(default_factory=dict)
    not_checked: tuple[tuple[str, str], ...] = ()
    defects: tuple[Defect, ...] = ()
    problem: str = ""

    @property
    def expected(self) -> str:
        """Return what the oracle wanted."""
        if self.problem:
            return "not examined"
        return "not ok" if self.lost else "ok, or not checked" if self.excuses else "ok"


class _During(NullObserver):
    """Does the steps of a scenario when so many entities were created, before the next one is."""

    def __init__(self, lab: Lab, scenario: Scenario) -> None:
        self._lab = lab
        self._scenario = scenario
        self._left = [*scenario.during]
        if scenario.loss == "sink_stopped":
            self._left.append(Step(name="", size=0, after=scenario.lost - 1))
            self._left.sort(key=lambda step: step.after)

    def progresses(self, what: str, done: int, total: int) -> None:  # noqa: ARG002 - an observer's signature
        """Look whether it is time."""
        created = done if what == "leads" else self._scenario.leads + done
        while self._left and self._left[0].after <= created:
            step = self._left.pop(0)
            if step.name:
                disturb(self._lab, self._scenario, step)
            else:
                self._lab.stop(SINK)


def examined(lab: Lab, scenario: Scenario, artifacts: Path | None) -> Outcome:
    """Carry out one run on a stack at rest. What prevents it is the outcome's `problem`."""
    began = time.monotonic()
    try:
        return _examined(lab, scenario, artifacts, began)
    except Exception as error:  # noqa: BLE001 - whatever it is: the run proves nothing, and the benchmark says so
        problem = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        return Outcome(scenario=scenario, duration_s=time.monotonic() - began, problem=problem)


def _examined(lab: Lab, scenario: Scenario, artifacts: Path | None, began: float) -> Outcome:
    lab.forget()
    _prepare_loss(lab, scenario)
    runs = [_traffic(lab, scenario, _During(lab, scenario))]
    if scenario.loss == "sink_stopped" and SINK not in lab.away:
        lab.stop(SINK)
    if scenario.loss in BROKEN_SINK:
        lab.wait_broken()
    if scenario.has_decoys:
        produce(lab.target.kafka.bootstrap, decoys(*_lost(scenario, runs[0])))
    for step in scenario.between:
        if step.name == "second_traffic":
            runs.append(_traffic(lab, scenario, NullObserver(), leads=step.size, jobs=step.size))
        else:
            disturb(lab, scenario, step)
    run = runs[-1 if scenario.judged == "newest" else 0]
    ended = _verify(lab, scenario, run)
    lab.await_late()
    now_s = time.time()
    true = truth(lab, scenario, run, now_s)
    defects = judged(ended, run, true)
    outcome = Outcome(
        scenario=scenario,
        duration_s=time.monotonic() - began,
        exit_code=ended.code,
        lost=true.lost,
        excuses=true.excuses,
        not_checked=tuple(reasons(ended.document)),
        defects=tuple(defects),
    )
    if artifacts and defects:
        _keep(artifacts, outcome, ended, lab)
    return outcome


def _lost(scenario: Scenario, run: Run) -> tuple[str, int]:
    """Return kind and id of the entity that the loss is about: ids are in the order of creation."""
    _, number = broken_place(scenario)
    kind = "lead" if scenario.lost <= scenario.leads else "job"
    return kind, sorted(one for of_kind, one in run.created if of_kind == kind)[number - 1]


def _prepare_loss(lab: Lab, scenario: Scenario) -> None:
    topic, number = broken_place(scenario)
    kind = "lead" if scenario.lost <= scenario.leads else "job"
    if scenario.loss == "never_produced":
        lab.relay.lose(kind, lab.relay.next_id(kind) + number - 1)
    elif scenario.loss == "produced_twice":
        lab.relay.double(kind, lab.relay.next_id(kind) + number - 1)
    elif scenario.loss in BROKEN_SINK:
        lab.break_sink(scenario.loss, topic=topic, tenant=_TENANT, at=number)


def _traffic(
    lab: Lab, scenario: Scenario, observer: NullObserver, *, leads: int | None = None, jobs: int | None = None
) -> Run:
    """Create, and return what was created. Raises RuntimeError if that is nothing."""
    if SINK not in lab.away and not lab.strangers:
        lab.wait_quiet()
    before = baseline(lab.sources, time.time())
    options = TrafficOptions(
        leads=leads or scenario.leads, jobs=jobs or scenario.jobs, rate=scenario.rate, timeout_s=_TIMEOUT_S
    )
    context = RunContext("traffic", screen=observer, target=lab.target, directory=lab.directory)
    made: dict[str, Any] = document(traffic(context, options))
    rows = (made.get("ledger") or {"rows": []})["rows"]
    if not rows:
        raise RuntimeError(f"traffic created nothing: {made.get('error')}")
    return Run(run_id=made["run_id"], baseline=before, created=frozenset((row["kind"], row["id"]) for row in rows))


def _verify(lab: Lab, scenario: Scenario, run: Run) -> Ended:
    for thread in lab.late:
        thread.start()
    timeout_s = _TIMEOUT_OF_A_LOSS_S if scenario.loss else _TIMEOUT_S
    chosen = [] if scenario.judged == "newest" and scenario.number % 2 else ["--run", run.run_id]
    return lab.command("verify", "--timeout", str(timeout_s), *chosen)


def _keep(artifacts: Path, outcome: Outcome, ended: Ended, lab: Lab) -> None:
    """Write what a wrong run was, for whoever mends it."""
    folder = artifacts / outcome.scenario.name.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [str(outcome.scenario), f"exit code {outcome.exit_code}, expected {outcome.expected}"]
    lines += [f"truth: {outcome.lost or 'nothing was lost'}", f"excuses: {dict(outcome.excuses)}"]
    lines += [f"sink ended at {lab.deaths}", *map(str, outcome.defects)]
    (folder / "what.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "verify.json").write_text(json.dumps(ended.document, indent=2), "utf-8")
    (folder / "verify.txt").write_text(ended.stderr, "utf-8")
    (folder / "sink.log").write_bytes(lab.sources.sink_log.read_bytes())
