"""The evidence of one run as one HTML file, made from its record alone: no script, no external address."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.commands.report.timeline import Timeline, timeline
from runbook.errors import UsageError
from runbook.private_paths import private_file
from runbook.runs.run_log import RunEvent, RunLog
from runbook.wording import moment, pasteable, span, visible

if TYPE_CHECKING:
    import jinja2

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the template shows. `results` are JSON documents in their order, `final` is the last of them."""

    run_id: str
    task: str
    target: str
    began_at: datetime
    results: tuple[Document, ...]
    final: Document | None
    criteria: tuple[Document, ...]
    boundaries: tuple[Document, ...]
    ledger: Document | None
    timeline: Timeline | None
    verdicts: tuple[Document, ...]
    checks: tuple[Document, ...]
    parts: tuple[Document, ...] | None
    versions: dict[str, str]
    backups: tuple[Document, ...]
    last_event_at: datetime
    event_count: int
    sha256: str

    @property
    def summary(self) -> str:
        """The run in one line: criteria met, boundaries closed and entities proven, as far as it got to each."""
        parts = []
        if self.criteria:
            met = sum(item["outcome"] == "ok" for item in self.criteria)
            parts.append(f"{met} of {len(self.criteria)} success criteria met")
        if self.boundaries:
            crossed = [item for item in self.boundaries if item["is_exercised"]]
            closed = sum(item["outcome"] == "ok" for item in crossed)
            parts.append(f"{closed} of {len(crossed)} boundaries that were crossed closed")
        if self.ledger:
            parts.append(f"{self.ledger['proven']} of {self.ledger['total']} leads and jobs proven{self._reach}")
        return ", ".join(parts)

    @property
    def _reach(self) -> str:
        hops = self.timeline.hops if self.timeline else ()
        if not hops:
            return ""
        return f" from {hops[0]} to {hops[-1]}" if len(hops) > 1 else f" at {hops[0]} only"


def write_report(run_log: RunLog, destination: Path) -> Path:
    """Write the report of a run and return where it is: `destination`, or a file named by the run in that folder.

    Beside the log only its owner can read it; elsewhere the umask decides, as a report is made to be passed on. Raises
    RunbookError if the record was altered after it was written, UsageError where the folder is missing: none is made,
    since a mistyped path would hide the report.
    """
    page = page_of(run_log)
    path = destination / f"report-{run_log.run_id}.html" if destination.is_dir() else destination
    if not path.parent.is_dir():
        raise UsageError(
            f"There is no folder {path.parent}; the report was not written",
            where="option --output",
            fix=f"mkdir -p {pasteable(path.parent)}, or another --output",
        )
    if destination == run_log.folder:
        with private_file(path, 0):
            pass
    path.write_text(_template().render(page=page), encoding="utf-8")
    return path


def page_of(run_log: RunLog) -> Page:
    """Return what the record says of its run; of a part that occurs more than once, the last one counts."""
    events = run_log.events()
    results = tuple(event.data for event in events if event.kind == "result")
    ledger = _last(results, "ledger")
    verdict = _last(results, "verdict")
    begin = events[0]
    return Page(
        run_id=run_log.run_id,
        task=begin.data["task"],
        target=begin.data["target"],
        began_at=begin.at,
        results=results,
        final=results[-1] if results else None,
        criteria=tuple(_last(results, "criteria") or ()),
        boundaries=tuple(_last(results, "boundaries") or ()),
        ledger=ledger,
        timeline=timeline(ledger["rows"]) if ledger else None,
        verdicts=((verdict,) if verdict else ()) + tuple(_last(results, "also") or ()),
        checks=tuple(_last(results, "checks") or ()),
        parts=_parts(events),
        versions=_versions(events),
        backups=tuple(event.data for event in events if event.kind == "backup"),
        last_event_at=events[-1].at,
        event_count=len(events),
        sha256=hashlib.sha256((run_log.folder / "record.jsonl").read_bytes()).hexdigest(),
    )


def _last(results: tuple[Document, ...], field: str) -> Any:  # noqa: ANN401 - a part of a JSON document
    return next((result[field] for result in reversed(results) if field in result), None)


def _parts(events: tuple[RunEvent, ...]) -> tuple[Document, ...] | None:
    """Return the parts of the stack that the run was made on; None for an installation that is not the stack."""
    stacks = [event.data for event in events if event.kind == "stack"]
    return tuple(stacks[-1]["parts"]) if stacks else None


def _versions(events: tuple[RunEvent, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        if event.kind == "versions":
            found |= event.data
    return found


def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("runbook.commands.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"span": span, "moment": moment, "time": datetime.fromisoformat, "words": _words}
    return environment.get_template("report.html.j2")


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")
