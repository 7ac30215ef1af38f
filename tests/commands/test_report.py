"""The evidence of a run as one HTML file: everything from the record, nothing from outside, nothing that runs."""

import os
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runbook.commands.report.html import write_report
from runbook.commands.report.options import ReportOptions
from runbook.commands.report.steps import report
from runbook.commands.report.timeline import WIDTH, timeline
from runbook.commands.run_context import RunContext
from runbook.commands.verify.result import JudgedBoundary, JudgedFlow
from runbook.console import document
from runbook.errors import RunbookError, UsageError
from runbook.model import (
    CheckResult,
    CommandResult,
    Created,
    Criterion,
    Evidence,
    HopSight,
    Ledger,
    LedgerRow,
    LedgerSum,
    Problem,
    ServiceStatus,
    StepResult,
    Verdict,
)
from runbook.runs.new_run import begin_run
from runbook.runs.run_log import RunLog
from tests.commands.setups import Watcher
from tests.damage import without_its_end
from tests.everything import Everything

SENT = datetime(2025, 11, 3, 19, 48, 51, tzinfo=UTC)
EVIL = '<script>alert("x")</script><img src=http://evil/ onerror=x> \' & \x1b[31m {{ page }}'


def result(label: str = "Grafana Event Test 1") -> Everything:
    """Return a verify result in which `label` stands wherever a text from outside may stand."""
    seen = (Evidence(source=label, saw=label),)
    created = Created(
        kind="lead",
        id=17,
        tenant_id=label,
        topic=label,
        label=label,
        sent_at=SENT,
        answered_at=SENT,
        status=200,
    )
    hops = (
        HopSight(hop="API", outcome="ok", saw=label, at=SENT + timedelta(milliseconds=12)),
        HopSight(hop="/metrics", outcome="ok", saw=label),
        HopSight(hop=f"panel {label}", outcome="failed", saw=label, at=SENT + timedelta(seconds=12.5)),
    )
    return Everything(
        task="verify",
        target="live",
        run_id="r",
        started_at=SENT,
        duration_s=14.2,
        outcome="failed",
        exit_code=1,
        steps=(StepResult(step=label, number=5, outcome="failed", reason=label, evidence=seen),),
        criteria=(Criterion(number=1, claim=label, outcome="not_checked", evidence=seen),),
        boundaries=(
            JudgedBoundary(
                name=label,
                outcome="failed",
                is_exercised=True,
                reason=label,
                since=SENT,
                until=SENT,
                flows=(JudgedFlow(topic=label, tenant_id=label, entered=17, left=12),),
                notes=(label,),
            ),
        ),
        ledger=Ledger(
            run_id=label,
            rows=(LedgerRow(created=created, hops=hops),),
            sums=(LedgerSum(source=label, topic=label, tenant_id=label, ours=1, others=None, delta=3),),
        ),
        diff=f"--- a\n+++ b\n+{label}\n-{label}\n {label}\n",
        verdict=Verdict(outcome="fault", code=label, claim=label, evidence=seen, fix=label),
        also=(Verdict(outcome="fault", code="M_DOWN", claim=label),),
        checks=(CheckResult(code=label, hop=label, claim=label, status="blocked", by=label, evidence=seen),),
        problem=Problem(seen=label, where=label, fix=label),
    )


@pytest.fixture
def run_log(tmp_path: Path) -> RunLog:
    return begin_run(tmp_path / ".runbook", task="run", target="live")


class Seen(HTMLParser):
    """Collects the tags, their attributes and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def page(run_log: RunLog, tmp_path: Path) -> Seen:
    seen = Seen()
    seen.feed(write_report(run_log, tmp_path / "report.html").read_text(encoding="utf-8"))
    return seen


def test_a_whole_run(run_log: RunLog, tmp_path: Path) -> None:
    """Verdict, criteria, ledger with times, sums, checks, diff, steps, parts, versions and backups are all there."""
    parts = (
        ServiceStatus(
            name="kafka", plays="Kafka: a mock cluster", kind="stand-in", running=True, pid=1, address="127.0.0.1:1"
        ),
        ServiceStatus(
            name="prometheus", plays="Prometheus", kind="real", running=True, pid=2, address="http://127.0.0.1:2"
        ),
    )
    run_log.append("stack", {"parts": parts})
    run_log.append("versions", {"Prometheus": "2.42.0"})
    run_log.append("result", document(replace(result(), task="setup", ledger=None, criteria=None)))
    run_log.back_up(tmp_path / "crm_events_pipeline.json", b"{}")
    run_log.append("result", document(result()))

    text = " ".join(page(run_log, tmp_path).text.split())

    for words in (
        "run on live: failed",
        "0 of 1 success criteria met, 0 of 1 boundaries that were crossed closed, 0 of 1 leads and jobs proven",
        "17 12",
        "Ledger: 0 of 1 proven",
        "12 ms",
        "1 of 2 parts are real",
        "Prometheus 2.42.0",
        "crm_events_pipeline.json",
        "Planned changes",
        "not checked",
        "M_DOWN",
    ):
        assert words in text


def test_text_from_outside_is_only_text(run_log: RunLog, tmp_path: Path) -> None:
    """A script in a lead's label, an error body or any other text is shown, not run; escapes are written out."""
    run_log.append("result", document(result(EVIL)))

    seen = page(run_log, tmp_path)

    assert {"script", "img", "iframe", "link", "object"}.isdisjoint(seen.tags)
    assert [name for name, _ in seen.attributes if name.startswith("on")] == []
    assert seen.text.count('<script>alert("x")</script>') > 15
    assert "{{ page }}" in seen.text
    assert "\\x1b[31m" in seen.text
    assert "\x1b" not in seen.text


def test_escaping_is_what_protects(run_log: RunLog, tmp_path: Path) -> None:
    """The parser of these tests does find the script once the page is unescaped: the test above can fail."""
    run_log.append("result", document(result(EVIL)))
    text = write_report(run_log, tmp_path / "report.html").read_text(encoding="utf-8")
    seen = Seen()

    seen.feed(text.replace("&lt;", "<").replace("&gt;", ">"))

    assert "script" in seen.tags


def test_one_file_stands_alone(run_log: RunLog, tmp_path: Path) -> None:
    """No script, and no address from which anything would be loaded."""
    run_log.append("result", document(result()))

    seen = page(run_log, tmp_path)

    assert [value for name, value in seen.attributes if name in {"src", "href", "srcset", "action", "data"}] == []
    style = write_report(run_log, tmp_path / "again.html").read_text(encoding="utf-8").split("</style>")[0]
    assert re.findall(r"url\(|@import|https?:", style) == []


def test_the_same_record_gives_the_same_report(run_log: RunLog, tmp_path: Path) -> None:
    """Nothing but the record goes in, not even the time."""
    run_log.append("result", document(result()))

    once, again = (write_report(run_log, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))

    assert once == again


def test_a_run_without_a_result(run_log: RunLog, tmp_path: Path) -> None:
    """An interrupted run is reported as one, not as a success."""
    assert "no result" in page(run_log, tmp_path).text


def test_a_folder_as_destination(run_log: RunLog, tmp_path: Path) -> None:
    assert write_report(run_log, tmp_path) == tmp_path / f"report-{run_log.run_id}.html"


def test_a_missing_folder_is_not_made(run_log: RunLog, tmp_path: Path) -> None:
    """A mistyped path would hide the report in a new folder; the command that makes it is printed."""
    with pytest.raises(UsageError, match="There is no folder") as caught:
        write_report(run_log, tmp_path / "reprots" / "report.html")

    assert caught.value.fix == f"mkdir -p {tmp_path / 'reprots'}, or another --output"
    assert not (tmp_path / "reprots").exists()


def test_an_altered_record(run_log: RunLog, tmp_path: Path) -> None:
    """There is no report of a record that was edited."""
    run_log.append("result", document(result()))
    path = run_log.folder / "record.jsonl"
    path.write_text(path.read_text().replace('"exit_code": 1', '"exit_code": 0'))

    with pytest.raises(RunbookError, match="altered"):
        write_report(run_log, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_an_empty_record(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    with pytest.raises(RunbookError, match="beginning"):
        write_report(RunLog(tmp_path / "run"), tmp_path / "report.html")


def test_the_timeline() -> None:
    """Dots lie in the order of their times and inside the picture, also where a clock is behind ours."""
    times = (-0.5, 0.0, 0.0004, 0.012, 0.9, 12.5, 400.0)
    hops = [
        {"hop": str(after), "outcome": "ok", "saw": "", "at": (SENT + timedelta(seconds=after)).isoformat()}
        for after in times
    ]

    drawn = timeline(
        [{"sent_at": SENT.isoformat(), "hops": [*hops, {"hop": "x", "outcome": "ok", "saw": "", "at": None}]}]
    )

    dots = drawn.tracks[0].dots
    places = [dot.x for dot in dots[:-1] if dot and dot.x is not None]
    assert [dot.after_s for dot in dots if dot] == [*times, None]
    assert places == sorted(places)
    assert (min(places), max(places)) > (0, 0)
    assert max(places) < WIDTH
    assert [seconds for _, seconds in drawn.ticks] == pytest.approx([0.001, 0.01, 0.1, 1, 10, 100])


def test_very_many_rows(run_log: RunLog, tmp_path: Path) -> None:
    """Of 1200 rows the one that is not proven is shown, and those left out are counted."""
    lost = result()
    assert lost.ledger is not None
    row = lost.ledger.rows[0]
    proven = replace(row, hops=row.hops[:2])
    rows = (*(replace(proven, created=replace(row.created, id=1000 + number)) for number in range(1199)), row)
    run_log.append("result", document(replace(lost, ledger=Ledger(run_id="r", rows=rows))))

    text = " ".join(page(run_log, tmp_path).text.split())

    assert "1199 of 1200 proven" in text
    assert "lead 17" in text
    assert "and 200 more rows" in text


def reported(folder: Path, watcher: Watcher, run_id: str | None = None) -> CommandResult:
    context = RunContext("report", screen=watcher, directory=folder, is_recorded=False)
    return report(context, ReportOptions(run_id=run_id))


def test_a_damaged_newest_run_is_passed_over_and_named(run_log: RunLog, tmp_path: Path) -> None:
    """And a file that does not belong there is not looked at; asked for by its id, the damaged run is an error."""
    run_log.append("result", document(result()))
    damaged = begin_run(tmp_path / ".runbook", task="run", target="live")
    damaged.append("result", document(result()))
    without_its_end(damaged)
    (tmp_path / ".runbook" / "runs" / ".DS_Store").write_text("mine")
    watcher = Watcher()

    newest, asked = reported(tmp_path, watcher), reported(tmp_path, Watcher(), run_id=damaged.run_id)

    assert newest.exit_code == 0
    assert newest.steps[0].reason.startswith(f"run {run_log.run_id}: ")
    (named,) = watcher.notes
    assert asked.problem is not None
    assert (asked.exit_code, asked.outcome) == (1, "failed")
    assert named == f"Run {damaged.run_id} is damaged and was skipped: {asked.problem.seen} ({asked.problem.where})"


def test_beside_the_log_only_its_owner_can_read_it(run_log: RunLog, tmp_path: Path) -> None:
    """Elsewhere the umask decides: a report is made to be passed on."""
    run_log.append("result", document(result()))
    before = os.umask(0o022)
    try:
        own, public = write_report(run_log, run_log.folder), write_report(run_log, tmp_path / "report.html")
    finally:
        os.umask(before)

    assert [stat.filemode(path.stat().st_mode) for path in (own, public)] == ["-rw-------", "-rw-r--r--"]
