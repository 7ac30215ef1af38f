"""How Prometheus comes to the sink's page: jobs, targets, rules, proxies and other Prometheus servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.losses.asking import fetched
from benchmarks.losses.events import topic_of
from benchmarks.losses.world import SINK, Document, World
from runbook.local_stack.ports import Ports
from runbook.waiting import Pending

_SETTLE_S: Final = 90.0


def reconfigure(world: World, change: Callable[[Document, Document], None]) -> None:
    """Change prometheus.yml (the whole, the sink's job), and let Prometheus read it."""
    path = world.layout.monitoring / "prometheus.yml"
    document = yaml.safe_load(path.read_text("utf-8"))
    [job] = [job for job in document["scrape_configs"] if job["job_name"] == SINK]
    change(document, job)
    path.write_text(yaml.safe_dump(document), "utf-8")
    fetched(f"{world.target.prometheus.url}/-/reload", data=b"")


def retarget(world: World, change: Callable[[list[str]], list[str]]) -> None:
    """Change the targets of the sink's job; they are remembered as they were."""

    def changed(_: Document, job: Document) -> None:
        [static] = job["static_configs"]
        world.targets = world.targets or list(static["targets"])
        static["targets"] = change(list(static["targets"]))

    reconfigure(world, changed)


def settle(world: World, scrapes: str) -> None:
    """Wait until each target of the sink's job was scraped so many times more."""
    begun = _scraped(world)
    seen: dict[str, set[str]] = {}

    def settled() -> bool | Pending:
        now = _scraped(world)
        for url, at in now.items():
            if at != begun.get(url, ""):
                seen.setdefault(url, set()).add(at)
        counts = [len(seen.get(url, ())) for url in now]
        return (bool(counts) and min(counts) >= int(scrapes)) or Pending(f"{counts} scrapes")

    world.wait(settled, "scrapes", deadline_s=_SETTLE_S + 2 * int(scrapes))


def _scraped(world: World) -> dict[str, str]:
    targets = world.prometheus("targets?state=active")["activeTargets"]
    return {
        one["scrapeUrl"]: "" if one["lastScrape"].startswith("0001") else one["lastScrape"]
        for one in targets
        if one["scrapePool"] == SINK
    }


# Pages


def page_of(world: World, variant: str, *arguments: str) -> str:
    """Start a proxy before the sink's page, or a page of its own; return its host and port."""
    port = Ports.free().sink_metrics
    upstream = world.target.sink.metrics_url
    world.beside("benchmarks.losses.broken.page", str(port), upstream, variant, *arguments)
    world.wait_for_answer(f"http://127.0.0.1:{port}/metrics")
    return f"127.0.0.1:{port}"


def foreign_page(world: World, leads: str, jobs: str, tenant: str) -> str:
    """Serve the page of another sink that counts no more; return its host and port."""
    lines = []
    for topic, number in ((topic_of("leads"), leads), (topic_of("jobs"), jobs)):
        lines.append(f'crm_events_ingested_total{{tenant_id="{tenant}",topic="{topic}"}} {number}')
        lines += [f'crm_events_next_offset{{topic="{topic}",partition="{n}"}} {number}' for n in range(4)]
    path = world.directory / f"page-{tenant}.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return page_of(world, "fixed", str(path))


def _page(world: World, variant: str, *arguments: str) -> None:
    address = page_of(world, variant, *arguments)
    retarget(world, lambda _: [address])


def _aggregator(world: World, how: str) -> None:
    """Let Prometheus scrape one page that is made of both sinks'."""
    port = Ports.free().sink_metrics
    urls = (world.target.sink.metrics_url, world.noted["replica page"])
    world.beside("benchmarks.losses.broken.aggregator", str(port), how, *urls)
    world.wait_for_answer(f"http://127.0.0.1:{port}/metrics")
    retarget(world, lambda _: [f"127.0.0.1:{port}"])


def _balancer(world: World) -> None:
    _page(world, "alternates", world.noted["replica page"])


def _stale_target(world: World, leads: str, jobs: str) -> None:
    address = foreign_page(world, leads, jobs, "acme")
    retarget(world, lambda targets: [*targets, address])


def _other_page(world: World, leads: str, jobs: str) -> None:
    address = foreign_page(world, leads, jobs, "umbrella")
    retarget(world, lambda _: [address])


# Jobs and rules


def _relabel(world: World, rules: str) -> None:
    reconfigure(world, lambda _, job: job.update(metric_relabel_configs=json.loads(rules)))


def _scrape(world: World, settings: str) -> None:
    wanted = json.loads(settings)

    def changed(_: Document, job: Document) -> None:
        if "labels" in wanted:
            job["static_configs"][0]["labels"] = wanted.pop("labels")
        job.update(wanted)

    reconfigure(world, changed)


def _global(world: World, settings: str) -> None:
    reconfigure(world, lambda document, _: document["global"].update(json.loads(settings)))


def _second_job(world: World, name: str) -> None:
    reconfigure(world, lambda document, job: document["scrape_configs"].append({**job, "job_name": name}))


def _job_of_prometheus(world: World) -> None:
    address = world.target.prometheus.url.removeprefix("http://")
    job = {"job_name": "prometheus-itself", "static_configs": [{"targets": [address]}]}
    reconfigure(world, lambda document, _: document["scrape_configs"].append(job))


def _job_scrapes_prometheus(world: World) -> None:
    address = world.target.prometheus.url.removeprefix("http://")
    retarget(world, lambda _: [address])


def _second_target(world: World, host: str) -> None:
    retarget(world, lambda targets: [*targets, f"{host}:{targets[0].rpartition(':')[2]}"])


def _dead_target(world: World) -> None:
    retarget(world, lambda targets: [*targets, f"127.0.0.1:{Ports.free().sink_metrics}"])


def add_rule(world: World, name: str, expression: str) -> None:
    """Add a recording rule in a file of its own."""
    path = world.layout.monitoring / "recorded.yml"
    rule = {"record": name, "expr": expression}
    path.write_text(yaml.safe_dump({"groups": [{"name": "recorded", "interval": "1s", "rules": [rule]}]}), "utf-8")

    def changed(document: Document, _: Document) -> None:
        document["rule_files"] = [*document.get("rule_files", []), str(path)]

    reconfigure(world, changed)


# Other Prometheus servers


def other_prometheus(world: World, config: dict[str, Any], store: Path | None = None) -> str:
    """Start a Prometheus beside the stack, with an empty store or this one; return its host and port."""
    port = Ports.free().prometheus
    path = world.directory / f"prometheus-{port}.yml"
    path.write_text(yaml.safe_dump({"global": {"scrape_interval": "2s"}, **config}), "utf-8")
    command = (
        world.launch_of("prometheus").command[0],
        f"--config.file={path}",
        f"--storage.tsdb.path={store or world.directory / f'prometheus-{port}'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    world.program_beside(command)
    world.wait_for_answer(f"http://127.0.0.1:{port}/-/ready")
    return f"127.0.0.1:{port}"


def second_prometheus(world: World) -> str:
    """Start a Prometheus with the stack's own scrape jobs; return its host and port."""
    document = yaml.safe_load((world.layout.monitoring / "prometheus.yml").read_text("utf-8"))
    return other_prometheus(world, {name: document[name] for name in ("global", "scrape_configs")})


def prometheus_of_staging(world: World, leads: str, jobs: str) -> str:
    """Start a Prometheus that scrapes another sink; return its host and port."""
    job = {"job_name": SINK, "static_configs": [{"targets": [foreign_page(world, leads, jobs, "umbrella")]}]}
    return other_prometheus(world, {"scrape_configs": [job]})


def _federate(world: World, selector: str) -> None:
    """Let Prometheus take the sink's series from another Prometheus, which scrapes the sink."""
    address = second_prometheus(world)

    def changed(_: Document, job: Document) -> None:
        job["static_configs"][0]["targets"] = [address]
        job.update(metrics_path="/federate", honor_labels=True, params={"match[]": [selector]})

    reconfigure(world, changed)


VERBS: Final[dict[str, Callable[..., None]]] = {
    "settle": settle,
    "relabel": _relabel,
    "scrape": _scrape,
    "global": _global,
    "interval": lambda world, seconds: _global(world, json.dumps({"scrape_interval": f"{seconds}s"})),
    "second-job": _second_job,
    "job-of-prometheus": _job_of_prometheus,
    "job-scrapes-prometheus": _job_scrapes_prometheus,
    "second-target": _second_target,
    "dead-target": _dead_target,
    "stale-target": _stale_target,
    "other-page": _other_page,
    "page": _page,
    "no-page": lambda world: retarget(world, lambda _: world.targets),
    "aggregator": _aggregator,
    "balancer": _balancer,
    "records": lambda world, name, *words: add_rule(world, name, " ".join(words)),
    "federate": _federate,
}
