"""The cases of hop sink: what breaks each check, and what keeps it from being looked at."""

from dataclasses import replace

from runbook.diagnosis.checks import sink
from runbook.diagnosis.facts import Facts
from runbook.systems.kafka.records import GroupFacts
from tests.diagnosis.cases import NO_STATE, Case, container_cases, port_case
from tests.diagnosis.recorded import (
    SINK,
    given,
    refused,
    scrape,
    topics,
)

CASES = (
    replace(
        port_case("sink", SINK, Facts.page),
        unseen=(given(Facts.state, NO_STATE, SINK) | given(Facts.page, refused())),
    ),
    Case(
        hop="sink",
        code="WRONG_NETWORK",
        broken=(
            given(Facts.networks, frozenset(), SINK) | given(Facts.published, (), SINK) | given(Facts.page, refused())
        ),
        unseen=(
            given(Facts.networks, NO_STATE, SINK) | given(Facts.page, refused()) | given(Facts.state, NO_STATE, SINK)
        ),
        says="none",
        fix="docker network connect aether crm-events-sink",
    ),
    *container_cases("sink", SINK, given(Facts.page, refused()) | given(Facts.targets, (scrape("down"),))),
    Case(
        hop="sink",
        code="Q_ZOMBIE",
        broken=given(sink.group, GroupFacts(state="empty", members=())),
        unseen=(
            given(sink.group, None) | given(Facts.topics, topics(unread=3)) | given(sink.read_meanwhile, (7.0, 7.0))
        ),
        says="0 members",
        fix="docker restart aether-crm-events-sink",
    ),
)
