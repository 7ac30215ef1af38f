"""Other jobs of Prometheus, and other ways for the sink's job to find its target."""

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.losses.events import topic_of
from benchmarks.losses.scraping import add_rule, other_prometheus, reconfigure, second_prometheus
from benchmarks.losses.world import SINK, Document, World
from runbook.waiting import Pending

_RAW: Final = "crm_events_raw_total"
_COUNTER: Final = "crm_events_ingested_total"


def _another_job(world: World, settings: str) -> None:
    """Add a copy of the sink's job with these settings."""
    wanted = json.loads(settings)
    reconfigure(world, lambda document, job: document["scrape_configs"].append({**job, **wanted}))


def _no_targets(world: World) -> None:
    """Take all targets out of the sink's job, and wait until Prometheus knows."""
    reconfigure(world, lambda _, job: job.update(static_configs=[]))

    def gone() -> bool | Pending:
        pools = [one["scrapePool"] for one in world.prometheus("targets?state=active")["activeTargets"]]
        return SINK not in pools or Pending(f"{pools}")

    world.wait(gone, "a job without targets")


def _targets_from_a_file(world: World) -> None:
    path = world.layout.monitoring / "targets.json"

    def changed(_: Document, job: Document) -> None:
        path.write_text(json.dumps(job.pop("static_configs")), "utf-8")
        job["file_sd_configs"] = [{"files": [str(path)]}]

    reconfigure(world, changed)


def _recorded_instead(world: World, *words: str) -> None:
    """Give the scraped counter another name, and let a recording rule write the old one."""
    rule: list[dict[str, Any]] = [
        {"source_labels": ["__name__"], "regex": _COUNTER, "target_label": "__name__", "replacement": _RAW}
    ]
    reconfigure(world, lambda _, job: job.update(metric_relabel_configs=rule))
    add_rule(world, _COUNTER, " ".join(words))


def double_prometheus(world: World) -> str:
    """Start a Prometheus that scrapes the sink by two jobs; return its host and port."""
    targets = [f"127.0.0.1:{world.target.sink.metrics_url.rpartition(':')[2].partition('/')[0]}"]
    jobs = [{"job_name": name, "static_configs": [{"targets": targets}]} for name in (SINK, f"{SINK}-old")]
    return other_prometheus(world, {"scrape_configs": jobs})


def scraping_prometheus(world: World, target: str = "") -> str:
    """Start a Prometheus that scrapes this as the sink, or else the stack's own one alone; return its host and port."""
    targets = [target or urlsplit(world.target.sink.metrics_url).netloc]
    return other_prometheus(world, {"scrape_configs": [{"job_name": SINK, "static_configs": [{"targets": targets}]}]})


def _federate_too(world: World) -> None:
    """Let another job take the counter from a second Prometheus, which scrapes the sink, too."""
    job = {
        "job_name": "of-the-other-prometheus",
        "metrics_path": "/federate",
        "params": {"match[]": [_COUNTER]},
        "static_configs": [{"targets": [second_prometheus(world)]}],
    }
    reconfigure(world, lambda document, _: document["scrape_configs"].append(job))


def federating_prometheus(world: World, selector: str) -> str:
    """Start a Prometheus that takes what the selector selects from the stack's own; return its host and port."""
    job = {
        "job_name": "federate",
        "metrics_path": "/federate",
        "honor_labels": True,
        "params": {"match[]": [selector]},
        "static_configs": [{"targets": [world.target.prometheus.url.removeprefix("http://")]}],
    }
    return other_prometheus(world, {"scrape_configs": [job]})


def selector_of(topic: str) -> str:
    """Return a selector of the counter's series of a topic, or of all."""
    return _COUNTER if topic == "all" else f'{_COUNTER}{{topic="{topic_of(topic)}"}}'


VERBS: Final[dict[str, Callable[..., None]]] = {
    "another-job": _another_job,
    "no-targets": _no_targets,
    "targets-from-a-file": _targets_from_a_file,
    "recorded-instead": _recorded_instead,
    "federate-too": _federate_too,
    "pair": lambda world: world.noted.update(pair=second_prometheus(world)),
}
