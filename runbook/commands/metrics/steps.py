"""The runbook's "Metrics Reference": its queries, answered by Prometheus now."""

from dataclasses import dataclass, replace
from functools import partial

from runbook.commands.metrics.options import MetricsOptions
from runbook.commands.metrics.result import MetricsResult, QueryAnswer, SeriesValue
from runbook.commands.run_context import RunContext
from runbook.commands.task_run import StepOutput, TaskRun
from runbook.errors import ExitCode, RunbookError
from runbook.model import Evidence
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import Sample

STEP = 6  # "Open the Dashboard": the panels ask the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One query; `unit` is that of its values, `note` what an operator must know to read them."""

    title: str
    expr: str
    unit: str
    note: str = ""


QUESTIONS = (
    Question(
        title="Events per second by topic",
        expr="sum by (topic) (rate(crm_events_ingested_total[5m]))",
        unit="events/s",
        note="0 if no event came in the last five minutes",
    ),
    Question(
        title="Total events in the last hour by tenant",
        expr="sum by (tenant_id) (increase(crm_events_ingested_total[1h]))",
        unit="events",
        note="increase() extrapolates to the full hour, so this is an estimate",
    ),
    Question(
        title="Most active tenant",
        expr="topk(1, sum by (tenant_id) (rate(crm_events_ingested_total[5m])))",
        unit="events/s",
        note="if several are equal, one of them is shown",
    ),
    Question(
        title="Raw totals",
        expr="crm_events_ingested_total",
        unit="events",
        note="exact counts since each sink process started",
    ),
)


def metrics(context: RunContext, _options: MetricsOptions) -> MetricsResult:
    """Ask every question of the runbook; a query without a series is an answer, not a failure."""
    task_run = TaskRun("metrics", context)
    prometheus = Prometheus(context.target.prometheus)
    answers: list[QueryAnswer] = []
    try:
        answers.extend(task_run.step(item.title, STEP, partial(_asked, prometheus, item)) for item in QUESTIONS)
    except RunbookError as error:
        return replace(task_run.failure(MetricsResult, error), answers=tuple(answers))
    return replace(task_run.result(MetricsResult, "ok", ExitCode.OK), answers=tuple(answers))


def _asked(prometheus: Prometheus, question: Question) -> StepOutput[QueryAnswer]:
    samples = prometheus.query(question.expr)
    answer = QueryAnswer(
        title=question.title,
        expr=question.expr,
        unit=question.unit,
        series=tuple(SeriesValue(labels=_named(sample), at=sample.at, value=sample.value) for sample in samples),
        note=question.note if samples else "the sink has counted no event yet, or Prometheus does not scrape it",
    )
    evidence = Evidence(source=question.expr, saw=f"{len(samples) or 'no'} series")
    return StepOutput(value=answer, outcome="ok", reason=evidence.saw, evidence=(evidence,))


def _named(sample: Sample) -> dict[str, str]:
    """Return the labels without the metric's own name, which the query says already."""
    return {name: value for name, value in sample.labels.items() if name != "__name__"}
