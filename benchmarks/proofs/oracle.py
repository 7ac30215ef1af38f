"""What is true about a traffic run, from the sources alone: its events are there, counted once, and shown, or not.

And what can no longer be known: `excuses` has a hop where "not checked" is a right answer, with the reason.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.proofs.lab import SINK, Lab
from benchmarks.proofs.scenario import BROKEN_SINK, Scenario
from benchmarks.proofs.sources import Message, Page, Place, Sample, Series, Sources
from runbook.local_stack.service_spec import TOPICS
from sink.decoding import Event, decode_one

Key = tuple[str, int]
"""Kind and id: ("lead", 17)."""

_TENANT: Final = "acme"
_TOPIC: Final = {"lead": TOPICS[0], "job": TOPICS[1]}
_SCRAPE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The sources at rest, before the first request of a run."""

    at_s: float
    page: Page
    ends: Mapping[Place, int]
    log_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One traffic run: the baseline before it, and what it has created."""

    run_id: str
    baseline: Baseline
    created: frozenset[Key]


@dataclass(slots=True, kw_only=True)
class Truth:
    """What is true about a run. `lost` is empty if all of it was produced and counted once; else it says what is not.

    `copies` are events of ours that are there once more: they may be counted as ours or as others.
    `lost_keys` are entities whose event is missing or there twice, `wrong_series` those that were counted wrongly.
    """

    events: Mapping[Key, Message] = field(default_factory=dict)
    ours: Mapping[Series, int] = field(default_factory=dict)
    others: Mapping[Series, int] = field(default_factory=dict)
    copies: Mapping[Series, int] = field(default_factory=dict)
    lost: str = ""
    lost_keys: frozenset[Key] = frozenset()
    wrong_series: frozenset[Series] = frozenset()
    excuses: dict[str, str] = field(default_factory=dict)
    may_fail: frozenset[str] = frozenset()
    is_blind: bool = False  # every scrape is there, and no panel can show the events
    forgets: bool = False  # a restarted sink begins at 0
    restarted: bool = False
    away: bool = False


def baseline(sources: Sources, now_s: float) -> Baseline:
    """Read the sources at rest."""
    return Baseline(at_s=now_s, page=sources.page(), ends=sources.ends(), log_size=sources.log_size())


def truth(lab: Lab, scenario: Scenario, run: Run, now_s: float) -> Truth:
    """Say what is true about a run now."""
    sources, ends = lab.sources, lab.sources.ends()
    messages = sources.messages(run.baseline.ends, ends)
    own = _own(run, messages)
    found = Truth(events={key: copies[0] for key, copies in own.items()})
    found.ours = Counter((_TOPIC[kind], _TENANT) for kind, _ in own)
    found.copies = Counter((_TOPIC[kind], _TENANT) for (kind, _), copies in own.items() for _ in copies[1:])
    counted = _events(messages)
    found.others = counted - Counter(found.ours) - Counter(found.copies)
    _judge_kafka(found, run, own)
    _judge_sink(found, lab, scenario, run, counted)
    _excuse(found, lab, run, messages, now_s)
    found.forgets = lab.journal != "sqlite"
    found.restarted = bool(lab.restarts)
    found.away = bool(lab.away or lab.late)
    return found


def _own(run: Run, messages: Sequence[Message]) -> dict[Key, list[Message]]:
    """Return the events of the run's entities: the kind by the topic, the id as a number, and the tenant."""
    own: dict[Key, list[Message]] = {}
    for message in messages:
        key = _key(message)
        if key in run.created:
            own.setdefault(key, []).append(message)
    return own


def _key(message: Message) -> Key | None:
    if not isinstance(decode_one(message.value), Event):
        return None
    try:
        document: dict[str, Any] = json.loads(message.value or b"")
    except (ValueError, RecursionError):
        return None
    number, tenant = document.get("id"), document.get("tenant_id")
    if type(number) is not int or tenant != _TENANT:
        return None
    return ("lead" if message.topic == TOPICS[0] else "job"), number


def _events(messages: Sequence[Message]) -> Counter[Series]:
    """Count the events of all producers as the sink's document defines them."""
    decoded = ((message.topic, decode_one(message.value)) for message in messages)
    return Counter((topic, event.tenant_id) for topic, event in decoded if isinstance(event, Event))


def _judge_kafka(found: Truth, run: Run, own: Mapping[Key, Sequence[Message]]) -> None:
    missing = sorted(run.created - own.keys())
    twice = sorted(key for key, copies in own.items() if len(copies) > 1)
    if missing or twice:
        found.lost = f"in Kafka missing {missing}, twice {twice}"
        found.lost_keys = frozenset([*missing, *twice])


def _judge_sink(found: Truth, lab: Lab, scenario: Scenario, run: Run, counted: Counter[Series]) -> None:
    if lab.mark:
        found.lost = f"the sink has {lab.mark} an event of {_broken_series(scenario)}"
        found.wrong_series = frozenset({_broken_series(scenario)})
    if scenario.loss == "sink_stopped" and SINK in lab.away:
        uncounted = [key for key, event in found.events.items() if event.at_s > lab.deaths[-1]]
        if uncounted:
            found.lost = f"the sink ended before {sorted(uncounted)}"
        return
    lives_on = lab.journal == "sqlite" or not any(death > run.baseline.at_s for death in lab.deaths)
    if lives_on and SINK not in lab.away and not lab.strangers and not lab.second_sink:
        page, before = lab.sources.page(), run.baseline.page
        grown = Counter({key: value - before.counted.get(key, 0) for key, value in page.counted.items()})
        if +grown != counted:  # a second sink, which Prometheus does not scrape, may have counted the rest
            found.lost = found.lost or f"the sink counted {dict(+grown)} of {dict(counted)}"
            found.wrong_series |= {series for series in grown | counted if grown[series] != counted[series]}


def _broken_series(scenario: Scenario) -> Series:
    assert scenario.loss in BROKEN_SINK  # noqa: S101 - nobody else leaves a mark
    return broken_place(scenario)[0], _TENANT


def broken_place(scenario: Scenario) -> tuple[str, int]:
    """Return the topic and the number (from 1) of the event in it that a broken sink gets wrong."""
    if scenario.lost <= scenario.leads:
        return _TOPIC["lead"], scenario.lost
    return _TOPIC["job"], scenario.lost - scenario.leads


def _excuse(found: Truth, lab: Lab, run: Run, messages: Sequence[Message], now_s: float) -> None:
    """Note what nobody can know any more, or not as long as something is away."""
    may_fail = set()
    if SINK in lab.away:
        found.excuses["counter"] = "the sink is away"
        may_fail.add("criterion 4")
    if lab.strangers or lab.second_sink:
        found.excuses["counter"] = "another member has some of the partitions"
    if "grafana" in lab.away:
        found.excuses["panel"] = "Grafana is away"
        may_fail |= {"criterion 1", "criterion 2"}
    received = lab.sources.received(run.baseline.log_size, _TENANT)
    if sum(received.values()) < len(found.events):
        found.excuses["sink log"] = f"{sum(received.values())} lines for {len(found.events)} events"
    reason = _prometheus_excuse(found, lab, run, messages, now_s)
    if reason:
        found.excuses["prometheus"] = found.excuses["panel"] = reason
        if lab.journal != "sqlite" and any(death > run.baseline.at_s for death in lab.deaths):
            found.excuses["counter"] = "the page began at 0, and Prometheus cannot tell either"
    if "prometheus" in lab.away:
        may_fail |= {"criterion 1", "criterion 2", "criterion 3"}
    elif dark := _dark(found, lab, now_s):  # what is asked for is truly not shown
        may_fail |= {"criterion 1", "criterion 2", "step panels"}
        if not reason:
            found.is_blind = True
            found.excuses["panel"] = f"the query of panel 20 shows nothing of {dark}: the series was born above zero"
    found.may_fail = frozenset(may_fail)


def _prometheus_excuse(found: Truth, lab: Lab, run: Run, messages: Sequence[Message], now_s: float) -> str:
    """Say why Prometheus cannot know all of the run, or nothing."""
    if "prometheus" in lab.away:
        return "Prometheus is away"
    if any(emptied > run.baseline.at_s for emptied in lab.emptied_at):
        return "Prometheus has lost its samples"
    samples = lab.sources.samples(run.baseline.at_s - 5 * _SCRAPE_S, now_s)
    deaths = [] if lab.journal == "sqlite" else [death for death in lab.deaths if death > run.baseline.at_s]
    return _unscraped(found, samples) or _in_a_gap(messages, samples, deaths)


def _unscraped(found: Truth, samples: Sequence[Sample]) -> str:
    """Say which event no scrape has passed."""
    for key, event in found.events.items():
        place = (event.topic, event.partition)
        if not any(sample.positions.get(place, 0) > event.offset for sample in samples):
            return f"no scrape has passed {key}"
    return ""


def _in_a_gap(messages: Sequence[Message], samples: Sequence[Sample], deaths: Sequence[float]) -> str:
    """Say which message may have been counted between the last scrape of a process that forgets and its end."""
    for death in deaths:
        last = max((sample for sample in samples if sample.at_s < death), key=lambda one: one.at_s, default=None)
        for message in messages:
            passed = last.positions.get((message.topic, message.partition), 0) if last else 0
            if message.at_s < death and message.offset >= passed:
                place = f"{message.topic}/{message.partition}@{message.offset}"
                return f"{place} may have been counted after the last scrape of a sink that began at 0"
    return ""


def _dark(found: Truth, lab: Lab, now_s: float) -> list[str]:
    """Return the topics of which Prometheus cannot draw what the panel must show: a rate above zero since the run."""
    first = min((event.at_s for event in found.events.values()), default=now_s)
    shown = lab.sources.first_shown(first, now_s)
    return sorted({event.topic for event in found.events.values()} - shown.keys())
