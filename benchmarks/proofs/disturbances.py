"""What each step of a scenario does to the stack."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from random import Random
from typing import Final

from benchmarks.proofs.foreign import garbage, other_events, produce
from benchmarks.proofs.lab import SINK, Lab
from benchmarks.proofs.scenario import Scenario, Step
from runbook.systems.kafka.client import Kafka
from runbook.waiting import Pending, wait_until

Disturbance = Callable[[Lab, Random, int], None]

_DEADLINE_S: Final = 20.0
_TENTH_S: Final = 0.4


def disturb(lab: Lab, scenario: Scenario, step: Step) -> None:
    """Do one step, with what chance decides in it, to be repeated by the run's name."""
    DISTURBANCES[step.name](lab, Random(f"{scenario.name} {step}"), step.size)  # noqa: S311 - to be repeated


def _restart(name: str, lab: Lab, chance: Random, _: int, *, kill: bool) -> None:
    """Restart at once; every second time wait until it is ready."""
    if kill and name == SINK and lab.journal == "none":
        _wait_committed(lab)
    lab.stop(name, kill=kill)
    lab.start(name)
    if chance.choice((True, False)):
        lab.wait_ready(name)


def _away(name: str, lab: Lab, chance: Random, size: int) -> None:
    """Let it be away for up to four seconds, and wait until it is ready."""
    kill = chance.choice((True, False))
    if kill and name == SINK and lab.journal == "none":
        _wait_committed(lab)
    lab.stop(name, kill=kill)
    time.sleep(size * _TENTH_S)
    lab.start(name)
    lab.wait_ready(name)


def _late(name: str, lab: Lab, chance: Random, size: int) -> None:
    """Take it away; it is back some seconds after verify has begun."""
    _gone(name, lab, chance, size)
    lab.start_later(name, size * _TENTH_S + 1)


def _gone(name: str, lab: Lab, _: Random, __: int) -> None:
    """Take it away when Prometheus has had a look."""
    _wait_scraped(lab)
    lab.stop(name)


def _wait_committed(lab: Lab) -> None:
    """Wait until the sink has committed all: a kill before that counts twice, and rightly so."""
    kafka, topics = Kafka(lab.target.kafka), (lab.target.kafka.lead_topic, lab.target.kafka.job_topic)

    def committed() -> bool | Pending:
        found = {place: offset or 0 for place, offset in kafka.committed(topics).items()}
        return found == kafka.end_offsets(topics) or Pending(f"{found}")

    with closing(kafka):
        if lab.runs(SINK):
            wait_until(committed, what="A commit", deadline_s=_DEADLINE_S, where="Kafka", fix="read the sink's log")


def _wait_scraped(lab: Lab) -> None:
    """Wait until Prometheus, if it runs, has looked once more."""
    began_s = time.time()

    def scraped() -> bool | Pending:
        found = lab.sources.scraped_s()
        return found > began_s or Pending(f"the newest is of {found}")

    if lab.runs("prometheus"):
        wait_until(scraped, what="A scrape", deadline_s=_DEADLINE_S, where="Prometheus", fix="read its log")


def _kafka_away(lab: Lab, _: Random, size: int) -> None:
    lab.kafka("down")
    time.sleep(size * _TENTH_S)
    lab.kafka("up")


def _others(lab: Lab, chance: Random, size: int) -> None:
    highest = max(lab.relay.next_id(kind) for kind in ("lead", "job"))
    produce(lab.target.kafka.bootstrap, other_events(chance, size * 3, highest_id=highest))


def _garbage(lab: Lab, chance: Random, size: int) -> None:
    produce(lab.target.kafka.bootstrap, garbage(chance, size * 2))


def _join(lab: Lab, _: Random, __: int, *, stays: bool) -> None:
    lab.join(stays=stays)


def _second_sink(lab: Lab, _: Random, __: int, *, stays: bool) -> None:
    lab.add_second_sink(stays=stays)


def _task(task: str, lab: Lab, _: Random, __: int) -> None:
    lab.command(task, "--timeout", "8")


DISTURBANCES: Final[Mapping[str, Disturbance]] = {
    "sink_term": partial(_restart, SINK, kill=False),
    "sink_kill": partial(_restart, SINK, kill=True),
    "sink_away": partial(_away, SINK),
    "sink_late": partial(_late, SINK),
    "sink_gone": partial(_gone, SINK),
    "prometheus_term": partial(_restart, "prometheus", kill=False),
    "prometheus_kill": partial(_restart, "prometheus", kill=True),
    "prometheus_away": partial(_away, "prometheus"),
    "prometheus_late": partial(_late, "prometheus"),
    "prometheus_gone": partial(_gone, "prometheus"),
    "prometheus_emptied": lambda lab, _, __: lab.empty_prometheus(),
    "grafana_kill": partial(_restart, "grafana", kill=True),
    "grafana_late": partial(_late, "grafana"),
    "grafana_gone": partial(_gone, "grafana"),
    "kafka_away": _kafka_away,
    "others": _others,
    "garbage": _garbage,
    "stranger": partial(_join, stays=False),
    "stranger_stays": partial(_join, stays=True),
    "second_sink": partial(_second_sink, stays=False),
    "second_sink_stays": partial(_second_sink, stays=True),
    "troubleshoot": partial(_task, "troubleshoot"),
    "verify": partial(_task, "verify"),
    "idle": lambda _, __, size: time.sleep(size * _TENTH_S),
}
"""By the name of the step. `second_traffic` is the trial's own."""
