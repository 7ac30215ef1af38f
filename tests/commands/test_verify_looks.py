"""What the looks of verify decide: an alert rule that is not evaluated yet, and a log that lacks lines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbook.commands.verify import panels
from runbook.commands.verify.alert import alert_seen
from runbook.commands.verify.criteria import Seen, judged
from runbook.commands.verify.events import EventsSeen
from runbook.commands.verify.followed import followed
from runbook.commands.verify.panels import PanelsSeen
from runbook.commands.verify.sink_log import LinesSeen, sink_lines
from runbook.conservation.traffic_run import Baseline, TrafficRun
from runbook.errors import RunbookError, UnreachableError
from runbook.files.compare import Datasource as Compared
from runbook.files.desired import wanted_panels
from runbook.model import Created
from runbook.names import ALERT
from runbook.settings import Target
from runbook.systems.grafana.client import Datasource, Frame, ServedDashboard
from runbook.systems.kafka.content import Content
from runbook.systems.kafka.records import CrmEvent
from runbook.systems.prometheus.records import Rule, RuleGroup
from runbook.systems.runtime import LogLine, Service, ServiceState
from runbook.systems.sink.client import Sink, SinkPage

AT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
INTERVAL_S = 30.0
LEADS = "apexflow.leads.created"
TARGET = Target.from_tables("x", {}, source="test")


def group(health: str, *, state: str = "inactive", name: str = ALERT) -> RuleGroup:
    rule = Rule(
        name=name,
        type="alerting",
        query="up == 0",
        duration_s=60,
        labels={},
        annotations={},
        health=health,
        last_error="many-to-many" if health == "err" else "",
        last_evaluation=None,
        state=state,
        alerts=(),
    )
    return RuleGroup(name="crm-events", file="rules.yml", interval_s=INTERVAL_S, rules=(rule,))


@pytest.mark.parametrize(
    ("found", "after_s", "expected", "says"),
    [
        (group("ok"), 0, "ok", "health ok"),
        (group("unknown"), 0, "not_checked", "its first evaluation is due by 2025-11-03 19:49:26 UTC"),
        (group("unknown"), 34, "not_checked", "not evaluated yet"),
        (group("unknown"), 36, "failed", "not evaluated, though that was due by 2025-11-03 19:49:26 UTC"),
        (group("err"), 0, "failed", "many-to-many"),
        (group("ok", state="firing"), 0, "failed", "state firing"),
        (group("ok", name="Another"), 0, "failed", "in none of the loaded groups"),
    ],
    ids=["evaluated", "just loaded", "still due", "overdue", "evaluation failed", "firing", "not loaded"],
)
def test_a_rule_is_proven_once_it_was_evaluated(found: RuleGroup, after_s: float, expected: str, says: str) -> None:
    """Loaded alone is no proof; and no failure before the evaluation is due."""
    seen = alert_seen([found], since=AT, now=AT + timedelta(seconds=after_s))

    assert seen.outcome == expected
    assert says in seen.saw
    assert bool(seen.fix) == (expected != "ok"), "each ending that is not ok has a fix"
    (criterion,) = judged(TARGET, Seen(alert=seen))[2:3]
    assert criterion.outcome == expected


@dataclass(frozen=True)
class Logs:
    """A runtime that knows a log and a start, and nothing else."""

    lines: Sequence[LogLine] = ()
    started_at: datetime | None = None
    status: str = "running"

    def log(self, _: Service, *, since: datetime | None = None) -> tuple[LogLine, ...]:
        return tuple(one for one in self.lines if since is None or one.at is None or one.at >= since)

    def state(self, service: Service) -> ServiceState:
        return ServiceState(name=service.name, found=True, status=self.status, started_at=self.started_at)

    def log_command(self, service: Service) -> str:
        return f"docker logs {service.container}"


SENT = TrafficRun(
    run_id="r",
    wanted=1,
    created=(
        Created(
            kind="lead", id=1, tenant_id="acme", topic=LEADS, label="", sent_at=AT, answered_at=AT, status=200
        ),
    ),
    baseline=Baseline(at=AT, page=None, sampled=None, end_offsets=None),
    started_at=AT,
)  # fmt: skip
CONTENT = Content(entity_id=1, tenant_id="acme", event_type="lead.created")
EVENT = CrmEvent(topic=LEADS, partition=0, offset=0, key="", at=AT, content=CONTENT, raw=b"{}")
EVENTS = EventsSeen(every=(EVENT,), found={(LEADS, 1): [EVENT]})


def line(seconds: float, text: str = "counting") -> LogLine:
    return LogLine(text=text, at=AT + timedelta(seconds=seconds))


RECEIVED = line(1, "[2025-11-03T19:48:52] Received lead.created for tenant acme")


@pytest.mark.parametrize(
    ("runtime", "expected", "says"),
    [
        (Logs([line(-60), RECEIVED]), "ok", "1 line for 1 event"),
        (Logs([line(-60)]), "failed", "0 lines for 1 event"),
        (Logs([LogLine(text="started")]), "failed", "0 lines for 1 event"),
        (Logs([line(9)]), "not_checked", "the log begins at 2025-11-03 19:49:00 UTC, after 2025-11-03 19:48:51 UTC"),
        (Logs([line(9)], AT + timedelta(seconds=8)), "not_checked", "the sink was started at 2025-11-03 19:48:59 UTC"),
        (Logs([], AT + timedelta(seconds=8)), "not_checked", "the log is empty: the sink was started at"),
        (Logs([line(-60)], AT + timedelta(seconds=8)), "not_checked", "one that is killed loses its last lines"),
        (Logs([], AT - timedelta(hours=1)), "failed", "0 lines for 1 event"),
        (Logs([], None, "exited"), "not_checked", "the log is empty, and the sink does not run"),
        (Logs([line(-60)], None, "exited"), "not_checked", "the sink does not run: it may not have read them yet"),
    ],
    ids=[
        "a line",
        "no line",
        "a file from its beginning",
        "rotated",
        "made again",
        "empty anew",
        "killed",
        "empty for long",
        "about to be made again",
        "down before it has read",
    ],
)
def test_a_missing_line_is_a_failure_unless_the_log_begins_later(runtime: Any, expected: str, says: str) -> None:  # noqa: ANN401 - plays a runtime
    done = sink_lines(TARGET, SENT, EVENTS, runtime, timeout_s=0)

    assert done.outcome == expected
    assert says in done.reason
    assert bool(done.fix) == (expected != "ok")
    seen = Seen(events=EVENTS, lines=done.value)
    (row,) = followed(SENT, seen).rows
    assert {hop.hop: hop.outcome for hop in row.hops}["sink log"] == expected
    assert judged(TARGET, seen)[4].outcome == expected


@pytest.mark.parametrize(
    ("owned", "expected"),
    [({(LEADS, 1): 5}, "not_checked"), ({(LEADS, 0): 1}, "failed"), ({}, "failed")],
    ids=["another sink reads it", "this sink reads it", "positions are not shown"],
)
def test_a_line_may_be_in_the_log_of_the_sink_that_reads_the_partition_now(
    monkeypatch: pytest.MonkeyPatch, owned: dict[tuple[str, int], int], expected: str
) -> None:
    page = SinkPage(counters={}, rejected={}, next_offsets=owned, has_counter=True, at=AT, size_bytes=9)
    monkeypatch.setattr(Sink, "page", lambda _: page)

    done = sink_lines(TARGET, SENT, EVENTS, Logs([line(-60)]), timeout_s=0)  # type: ignore[arg-type]

    assert done.outcome == expected
    assert ("does not own apexflow.leads.created/0" in done.reason) == (expected == "not_checked")


@pytest.mark.parametrize(("owned", "expected"), [(1, "not_checked"), (2, "failed")])
def test_of_two_events_one_line_may_be_in_another_sinks_log(
    monkeypatch: pytest.MonkeyPatch, owned: int, expected: str
) -> None:
    """The line may be that of either event: a line names no id."""
    second = replace(EVENT, partition=1, content=replace(CONTENT, entity_id=2))
    events = EventsSeen(every=(EVENT, second), found={(LEADS, 1): [EVENT], (LEADS, 2): [second]})
    sent = replace(SENT, wanted=2, created=(*SENT.created, replace(SENT.created[0], id=2)))
    offsets = {(LEADS, number): 1 for number in range(owned)}
    page = SinkPage(counters={}, rejected={}, next_offsets=offsets, has_counter=True, at=AT, size_bytes=9)
    monkeypatch.setattr(Sink, "page", lambda _: page)

    done = sink_lines(TARGET, sent, events, Logs([line(-60), RECEIVED]), timeout_s=0)  # type: ignore[arg-type]

    assert done.outcome == expected


def test_a_sink_that_has_just_started_may_show_no_counter_yet() -> None:
    empty = SinkPage(counters={}, rejected={}, next_offsets={}, has_counter=True, at=AT, size_bytes=9)

    def outcome(started_s: float | None) -> str:
        return judged(TARGET, Seen(page=replace(empty, started_s=started_s)))[3].outcome

    assert [outcome(AT.timestamp() - age) for age in (3.0, 300.0)] == ["not_checked", "failed"]
    assert outcome(None) == "failed"


def test_a_line_on_an_event_from_after_the_logs_beginning_must_be_there() -> None:
    """Two events, the log begins between them: of the first nothing is known, the second one's line is missing."""
    late = replace(EVENT, offset=1, at=AT + timedelta(seconds=20), content=replace(CONTENT, entity_id=2))
    seen = LinesSeen(lines=(), why="the log begins later", begins_at=AT + timedelta(seconds=9))

    assert [seen.tells_of(one.at) for one in (EVENT, late)] == [False, True]


@pytest.mark.parametrize(
    ("status", "answers", "is_waited_for"),
    [("exited", False, False), ("exited", True, True), ("running", True, True)],
    ids=["ended", "runs where nobody sees it", "running"],
)
def test_the_lines_of_a_sink_that_has_ended_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, status: str, answers: bool, is_waited_for: bool
) -> None:
    """They cannot come any more. A sink whose page answers has not ended, whatever is known of its process."""
    looks: list[datetime] = []

    class Counted(Logs):
        def log(self, service: Service, *, since: datetime | None = None) -> tuple[LogLine, ...]:
            if since is not None:
                looks.append(since)
            return super().log(service, since=since)

    def page(sink: Sink) -> SinkPage:
        if not answers:
            raise UnreachableError("connection refused", where=f"{sink}", fix="start it", reason="refused")
        return SinkPage(counters={}, rejected={}, next_offsets={(LEADS, 0): 1}, has_counter=True, at=AT, size_bytes=9)

    ticks = iter(range(1000))
    monkeypatch.setattr("runbook.waiting.SystemClock.now", lambda _: float(next(ticks)))
    monkeypatch.setattr("runbook.waiting.SystemClock.pause", lambda *_: None)
    monkeypatch.setattr(Sink, "page", page)

    sink_lines(TARGET, SENT, EVENTS, Counted([line(-60)], None, status), timeout_s=3)  # type: ignore[arg-type]

    assert (len(looks) > 1) == is_waited_for


def test_a_panel_owes_nothing_on_a_topic_without_an_event() -> None:
    """Nothing on either topic: not checked, with the reason; without one it is a failure."""
    shown = PanelsSeen(by_topic=(), top_tenants=())
    topics = (TARGET.kafka.lead_topic, TARGET.kafka.job_topic)
    quiet = {topic: f"no event of {topic}" for topic in topics}

    none = judged(TARGET, Seen(panels=shown, quiet=quiet))[:2]
    some = judged(TARGET, Seen(panels=shown, quiet={topics[0]: quiet[topics[0]]}))[:2]

    assert [one.outcome for one in none] == ["not_checked"] * 2
    assert all(quiet[topics[0]] in one.evidence[0].saw for one in none)
    assert [one.outcome for one in some] == ["failed"] * 2


@dataclass
class Starting:
    """A Grafana that answers, and has its dashboards from the third look on; or never."""

    looks: int = 0
    has_them_from: int = 3

    def datasources(self) -> tuple[Datasource, ...]:
        return (Datasource(uid="prom", name=TARGET.grafana.datasource, type="prometheus", url="", is_default=True),)

    def dashboard(self, uid: str) -> ServedDashboard | None:
        self.looks += 1
        if self.looks < self.has_them_from:
            return None
        panels = wanted_panels(Compared(uid="prom", name=TARGET.grafana.datasource)).panels
        return ServedDashboard(uid=uid, title="", version=1, panels=tuple(panels), provisioned_file="", url="")

    def query(self, *_: object, **__: object) -> tuple[Frame, ...]:
        return ()


def asked_of(grafana: Starting, monkeypatch: pytest.MonkeyPatch, timeout_s: float) -> str:
    monkeypatch.setattr(panels, "Grafana", lambda *_: grafana)
    looked = panels.panels_between(TARGET, start=AT, end=lambda: AT, since={}, tenants=(), timeout_s=timeout_s)
    return looked.outcome


def test_a_grafana_that_has_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers before it has provisioned its dashboards: they are not missing yet."""
    assert asked_of(Starting(), monkeypatch, timeout_s=5) == "ok"


def test_a_panel_that_never_comes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a wait for ever."""
    with pytest.raises(RunbookError, match="Grafana serves no panel 20"):
        asked_of(Starting(has_them_from=10**6), monkeypatch, timeout_s=0.3)
