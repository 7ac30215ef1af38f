"""What happens in one run: made from the benchmark's seed and the run's number alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Journal = Literal["sqlite", "postgres", "none"]
Loss = Literal[
    "", "never_produced", "produced_twice", "skipped", "counted_twice", "counted_for_another_tenant", "sink_stopped"
]

_LOSS_EVERY: Final = 3
_SHARE_AWAY: Final = 0.2
STACK_RUNS: Final = 5
"""So many runs follow each other on one stack; a new one has no series and no samples."""
MOST_EACH: Final = 15
BROKEN_SINK: Final[Sequence[Loss]] = ("skipped", "counted_twice", "counted_for_another_tenant")
_LOSSES: Final[Sequence[Loss]] = ("never_produced", "produced_twice", "sink_stopped", *BROKEN_SINK)
_JOURNALS: Final[Sequence[Journal]] = (*("sqlite",) * 5, *("postgres",) * 3, *("none",) * 2)

_SINK_RESTARTS: Final = ("sink_term", "sink_kill", "sink_away")
_RESTARTS: Final = ("prometheus_term", "prometheus_kill", "prometheus_away", "grafana_kill", "kafka_away")
_EVENTS: Final = ("others", "garbage", "second_traffic")
_LOOKS: Final = ("troubleshoot", "verify", "idle")
_LATE: Final = ("sink_late", "prometheus_late", "grafana_late")
"""Away when verify begins, and back some seconds later."""
_GONE: Final = ("sink_gone", "prometheus_gone", "grafana_gone")
"""Away for as long as verify looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One disturbance. `after` is the number of entities created before it (during traffic), `size` its own amount."""

    name: str
    size: int
    after: int = 0

    def __str__(self) -> str:
        return f"{self.name}@{self.after}" if self.after else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. `lost` is the entity (from 1) that the loss is about; `judged` the run that verify is asked about.

    `has_decoys`: another producer sends events that resemble the one that was never produced.
    """

    seed: int
    number: int
    journal: Journal
    leads: int
    jobs: int
    rate: float | None
    during: tuple[Step, ...]
    between: tuple[Step, ...]
    loss: Loss
    lost: int
    judged: Literal["newest", "first"]
    has_decoys: bool

    @property
    def name(self) -> str:
        """Return what `--only` takes."""
        return f"{self.seed}:{self.number}"

    @property
    def stack(self) -> int:
        """Return the number of the stack that it runs on."""
        return self.number // STACK_RUNS

    def __str__(self) -> str:
        steps = " ".join([*map(str, self.during), "|", *map(str, self.between)])
        loss = f", loss {self.loss} of {self.lost}" if self.loss else ""
        loss += " with decoys" if self.has_decoys else ""
        return f"{self.name} {self.journal}, {self.leads} leads, {self.jobs} jobs{loss}: {steps}"


def scenario(seed: int, number: int) -> Scenario:
    """Return run `number` of a seed. Runs of one stack share its journal; every third run has a true loss."""
    journal = Random(f"{seed} stack {number // STACK_RUNS}").choice(_JOURNALS)  # noqa: S311 - to be repeated
    chance = Random(f"{seed} run {number}")  # noqa: S311 - to be repeated
    leads, jobs = (chance.randint(1, MOST_EACH) for _ in range(2))
    total = leads + jobs
    loss: Loss = chance.choice(_LOSSES) if (number + 1) % _LOSS_EVERY == 0 else ""
    during = _during(chance, journal, loss, total)
    between = _between(chance, journal, loss)
    has_second = any(step.name == "second_traffic" for step in between)
    return Scenario(
        seed=seed,
        number=number,
        journal=journal,
        leads=leads,
        jobs=jobs,
        rate=chance.choice((None, None, 5.0)),
        during=during,
        between=between,
        loss=loss,
        lost=chance.randint(2, total) if loss == "sink_stopped" else chance.randint(1, total),
        judged="first" if loss or not has_second else chance.choice(("newest", "first")),
        has_decoys=loss == "never_produced" and chance.choice((True, False)),
    )


def _during(chance: Random, journal: Journal, loss: Loss, total: int) -> tuple[Step, ...]:
    """A sink without a journal counts the last second twice after a kill: that is no step here."""
    names = [*_RESTARTS, "others", "garbage", "stranger"]
    if loss not in {*BROKEN_SINK, "sink_stopped"}:
        names += [name for name in _SINK_RESTARTS if journal != "none" or name == "sink_term"]
    chosen = chance.sample(names, chance.choices((0, 1, 2), (6, 3, 1))[0])
    steps = (Step(name=name, size=chance.randint(1, 10), after=chance.randint(1, total)) for name in chosen)
    return tuple(sorted(steps, key=lambda step: step.after))


def _between(chance: Random, journal: Journal, loss: Loss) -> tuple[Step, ...]:
    """Up to three, each once. What leaves something away comes last."""
    last: list[str] = []
    if loss != "sink_stopped" and chance.random() < _SHARE_AWAY:
        last = [chance.choice((*_LATE, *_LATE, *_GONE, "stranger_stays", "second_sink_stays"))]
    names = [*_RESTARTS, *_EVENTS, *_LOOKS, "stranger", "second_sink", "prometheus_emptied"]
    if loss != "sink_stopped":
        names += _SINK_RESTARTS * 2
    else:
        names = [name for name in names if name not in {"second_sink", "stranger", "second_traffic"}]
    count = chance.choices((0, 1, 2, 3), (1, 4, 3, 2))[0] - len(last)
    chosen = list(dict.fromkeys(chance.choices(names, k=max(count, 0)))) + last
    if journal != "postgres":  # several sinks share a journal in PostgreSQL only
        chosen = [name for name in chosen if not name.startswith("second_sink")]
    return tuple(Step(name=name, size=chance.randint(1, 10)) for name in chosen)
