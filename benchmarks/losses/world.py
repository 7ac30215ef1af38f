"""One local stack that is made odd or broken: what the verbs of the list mean."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.losses.events import OtherProducer, topic_of
from runbook.local_stack import stack
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.settings import LOCAL, Target, load_target
from runbook.systems.processes.launcher import Launch, Launcher
from runbook.waiting import Pending, wait_until

CHECKOUT: Final = Path(__file__).parents[2]
SINK: Final = "crm-events-sink"
QUERY: Final = "sum by (topic) (rate(crm_events_ingested_total[5m]))"
_TORN: Final = CHECKOUT / "tests/sink/broken_sink.py"
_COMMAND_S: Final = 150.0
_READY_S: Final = 60.0
_STOP_S: Final = 5.0

Document = dict[str, Any]


def fetched(url: str, *, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> bytes:
    """Return the body of an answer of the stack."""
    with urllib.request.urlopen(  # noqa: S310 - an address of the stack
        urllib.request.Request(url, data, dict(headers or {})),  # noqa: S310 - the same
        timeout=10,
    ) as answer:
        body: bytes = answer.read()
        return body


@dataclass(slots=True)
class World:
    """A stack in a folder, the programs beside it, and what the API has answered since the case began."""

    directory: Path
    created: list[Document] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)  # of the replicas
    _beside: int = 0
    _targets: list[str] = field(default_factory=list)  # of the sink's job, as stack.up made them
    _until_end: ExitStack = field(default_factory=ExitStack)

    # The stack

    def up(self, options: Sequence[str] = ()) -> None:
        """Bring it up, and set it up."""
        self.command("stack.up", *options)
        self.command("setup", "--target", LOCAL, "--yes")
        self._targets = []

    def down(self) -> None:
        """End it and what is beside it."""
        self.end_case()
        Launcher(self.directory / "beside").stop_strays(timeout_s=_STOP_S)
        self.command("stack.down")

    def end_case(self) -> None:
        """End what a case does until its end."""
        self._until_end.close()
        self.created.clear()

    def command(self, *words: str) -> tuple[int, Document]:
        """Carry out a command of the product as an operator does; return its exit code and its document."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")}
        done = subprocess.run(
            [sys.executable, "-m", "runbook", *words, "--json"],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            timeout=_COMMAND_S,
            check=False,
        )
        try:
            document: Document = json.loads(done.stdout)
        except ValueError:
            raise RuntimeError(f"{words}: exit code {done.returncode}\n{done.stderr.decode()[-2000:]}") from None
        return done.returncode, document

    def troubleshoot(self) -> tuple[int, Document]:
        """Ask the product."""
        return self.command("troubleshoot", "--target", LOCAL)

    @property
    def layout(self) -> Layout:
        """Where the stack's files are."""
        return Layout.of(self.directory)

    @property
    def target(self) -> Target:
        """Its settings."""
        return load_target(LOCAL, directory=self.directory)

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self.layout.bootstrap.read_text("ascii").strip()

    def do(self, step: str) -> None:
        """Carry out one step of the list."""
        verb, _, rest = step.partition(" ")
        words = [rest] if rest.startswith(("[", "{")) else rest.split()
        VERBS[verb](self, *words)

    # Parts

    def instead(self, name: str, *command: str, is_awaited: bool = True) -> None:
        """Start another Python program in the place of a part, and wait until it is ready."""
        record = Launcher(self.layout.root).record(name)
        if record is None:
            raise RuntimeError(f"{name} was never started")
        planned = record.launch
        python, *_ = planned.command
        stack.stop_service(self.directory, name)
        variables = {**planned.environment, "PYTHONPATH": str(CHECKOUT)}
        launch = replace(planned, command=(python, *command), environment=variables)
        Launcher(self.layout.root).start(name, launch)
        if is_awaited:
            self.wait_until_ready(name)

    def restart(self, name: str, *, kill: bool = False, environment: Mapping[str, str] | None = None) -> None:
        """End a part and start it as it was planned."""
        stack.stop_service(self.directory, name, kill=kill)
        stack.start_service(self.directory, name, extra_env=environment)
        self.wait_until_ready(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a part."""
        record = Launcher(self.layout.root).record(name)
        if record is not None:
            os.kill(record.pid, number)

    def wait_until_ready(self, name: str) -> None:
        """Wait until stack.status calls it ready."""

        def ready() -> bool | Pending:
            [one] = [one for one in stack.status(self.directory) if one.name == name]
            return (one.running and "not ready" not in one.detail) or Pending(one.detail)

        self.wait(ready, name)

    def beside(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Start a program beside the stack; return its name there."""
        return self.program_beside((sys.executable, "-m", module, *arguments), environment)

    def program_beside(self, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> str:
        """Start any program beside the stack."""
        self._beside += 1
        name = f"{self._beside}"
        variables = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LD_LIBRARY_PATH"}}
        variables |= {"PYTHONPATH": str(CHECKOUT), **(environment or {})}
        (self.directory / "beside").mkdir(exist_ok=True)
        launch = Launch(command=command, directory=str(self.directory / "beside"), environment=variables)
        Launcher(self.directory / "beside").start(name, launch)
        return name

    def log_beside(self, name: str) -> str:
        """Return what a program beside the stack has said."""
        return Launcher(self.directory / "beside").log_file(name).read_text("utf-8", "replace")

    def stop_beside(self, name: str) -> None:
        """End a program beside the stack."""
        Launcher(self.directory / "beside").stop([name], timeout_s=_STOP_S)

    def wait(self, probe: Callable[[], bool | Pending], what: str, deadline_s: float = _READY_S) -> None:
        """Wait for a state of the stack."""
        wait_until(probe, what=what, deadline_s=deadline_s, where=str(self.directory), fix="read its log")

    def wait_for_answer(self, url: str) -> None:
        """Wait until an address answers 200."""

        def answers() -> bool | Pending:
            try:
                return bool(fetched(url)) or Pending("empty")
            except OSError as error:
                return Pending(str(error))

        self.wait(answers, url)

    # Prometheus and Grafana

    def prometheus(self, path: str, **form: str) -> Any:  # noqa: ANN401  # JSON
        """Return `data` of Prometheus's answer."""
        return ask_prometheus(self.target.prometheus.url, path, **form)

    def reconfigure(self, change: Callable[[Document, Document], None]) -> None:
        """Change prometheus.yml (the whole, the sink's job), and let Prometheus read it."""
        path = self.layout.monitoring / "prometheus.yml"
        document = yaml.safe_load(path.read_text("utf-8"))
        [job] = [job for job in document["scrape_configs"] if job["job_name"] == SINK]
        change(document, job)
        path.write_text(yaml.safe_dump(document), "utf-8")
        fetched(f"{self.target.prometheus.url}/-/reload", data=b"")

    def retarget(self, change: Callable[[list[str]], list[str]]) -> None:
        """Change the targets of the sink's job; they are remembered as they were."""

        def changed(_: Document, job: Document) -> None:
            [static] = job["static_configs"]
            self._targets = self._targets or list(static["targets"])
            static["targets"] = change(list(static["targets"]))

        self.reconfigure(changed)

    def settle(self, scrapes: int) -> None:
        """Wait until each target of the sink's job was scraped so many times more."""
        begun = self._scraped()
        seen: dict[str, set[str]] = {}

        def settled() -> bool | Pending:
            now = self._scraped()
            for url, at in now.items():
                if at != begun.get(url, ""):
                    seen.setdefault(url, set()).add(at)
            counts = [len(seen.get(url, ())) for url in now]
            return (bool(counts) and min(counts) >= scrapes) or Pending(f"{counts} scrapes")

        self.wait(settled, "scrapes", deadline_s=90.0 + 2 * scrapes)

    def _scraped(self) -> dict[str, str]:
        targets = self.prometheus("targets?state=active")["activeTargets"]
        return {
            one["scrapeUrl"]: "" if one["lastScrape"].startswith("0001") else one["lastScrape"]
            for one in targets
            if one["scrapePool"] == SINK
        }

    def page_of(self, variant: str, *arguments: str) -> str:
        """Start a proxy before the sink's page, or a page of its own; return its host and port."""
        port = Ports.free().sink_metrics
        upstream = self.target.sink.metrics_url
        self.beside("benchmarks.losses.broken.page", str(port), upstream, variant, *arguments)
        self.wait_for_answer(f"http://127.0.0.1:{port}/metrics")
        return f"127.0.0.1:{port}"

    def foreign_page(self, leads: str, jobs: str, tenant: str) -> str:
        """Serve the page of another sink that counts no more."""
        lines = []
        for topic, number in ((topic_of("leads"), leads), (topic_of("jobs"), jobs)):
            lines.append(f'crm_events_ingested_total{{tenant_id="{tenant}",topic="{topic}"}} {number}')
            lines += [f'crm_events_next_offset{{topic="{topic}",partition="{n}"}} {number}' for n in range(4)]
        path = self.directory / f"page-{tenant}.txt"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return self.page_of("fixed", str(path))

    @property
    def datasource(self) -> Path:
        """The file that provisions Grafana's datasource."""
        return self.layout.monitoring / "grafana/provisioning/datasources/prometheus.yml"

    @property
    def asked_by_grafana(self) -> str:
        """The address that Grafana asks."""
        url: str = yaml.safe_load(self.datasource.read_text("utf-8"))["datasources"][0]["url"]
        return url

    def let_grafana_ask(self, url: str) -> None:
        """Lead Grafana's datasource to another address."""
        text = self.datasource.read_text("utf-8")
        self.datasource.write_text(text.replace(self.asked_by_grafana, url), "utf-8")
        self.restart("grafana")

    def panel(self) -> Document:
        """Return panel 20 as the dashboard's file has it."""
        document = json.loads(self.layout.dashboard.read_text("utf-8-sig"))
        [panel] = [panel for panel in document["panels"] if panel["id"] == 20]  # noqa: PLR2004 - the runbook's number
        found: Document = panel
        return found


def ask_prometheus(url: str, path: str, **form: str) -> Any:  # noqa: ANN401  # JSON
    """Return `data` of the answer of a Prometheus."""
    data = urllib.parse.urlencode(form).encode() if form else None
    return json.loads(fetched(f"{url}/api/v1/{path}", data=data))["data"]


# The verbs of the list


def _traffic(world: World, leads: str, jobs: str, rate: str = "") -> None:
    words = ["--leads", leads, "--jobs", jobs, *(["--rate", rate] if rate else [])]
    code, document = world.command("traffic", "--target", LOCAL, "--yes", *words)
    rows = (document.get("ledger") or {}).get("rows", [])
    if len(rows) != int(leads) + int(jobs):
        raise RuntimeError(f"traffic: exit code {code}, {len(rows)} rows: {document.get('problem')}")
    world.created += rows


def _field_sink(world: World, *words: str) -> None:
    """It has no /readyz: it is ready when it shows its page."""
    world.instead(SINK, "-m", "benchmarks.losses.broken.field_sink", *words, is_awaited=False)
    world.wait_for_answer(world.target.sink.metrics_url)


def _torn_sink(world: World, variant: str) -> None:
    mark = world.directory / "tear"
    world.instead(SINK, str(_TORN), variant, str(mark))
    mark.touch()


def _tear(world: World) -> None:
    mark = world.directory / "tear"
    world.wait(lambda: not mark.exists() or Pending("the sink has written nothing yet"), "a batch")
    stack.stop_service(world.directory, SINK, kill=True)


def _thief(world: World, group: str) -> None:
    variables = {"BOOTSTRAP": world.bootstrap, "GROUP_ID": group, "TOPICS": f"{topic_of('leads')},{topic_of('jobs')}"}
    name = world.beside("benchmarks.losses.broken.thief", environment=variables)
    world.wait(lambda: "assigned" in world.log_beside(name) or Pending("no partitions"), "another reader")


def _replica(world: World, how: str) -> None:
    record = Launcher(world.layout.root).record(SINK)
    if record is None:
        raise RuntimeError("there is no sink")
    ports = Ports.free()
    launch = record.launch
    files = {name: Path(path).read_text("utf-8").strip() for name, path in launch.environment_files.items()}
    variables = {**launch.environment, **files, "PROM_PORT": str(ports.sink_metrics), "HTTP_PORT": str(ports.sink_http)}
    if variables["SINK_JOURNAL"].startswith("sqlite"):
        variables["SINK_JOURNAL"] = "none"
    name = world.beside("sink", environment=variables)
    url = f"http://127.0.0.1:{ports.sink_metrics}/metrics"
    world.wait_for_answer(url)
    owned = re.compile(r"^crm_events_next_offset", re.MULTILINE)
    world.wait(lambda: bool(owned.search(fetched(url).decode())) or Pending("no partitions"), "a replica")
    if how == "scraped":
        world.pages.append(url)
        world.retarget(lambda targets: [*targets, f"127.0.0.1:{ports.sink_metrics}"])
    (world.directory / "replica").write_text(f"{name} {url}", "ascii")


def _replica_leaves(world: World) -> None:
    name, url = (world.directory / "replica").read_text("ascii").split()
    world.pages.remove(url)
    world.retarget(lambda targets: [one for one in targets if one not in url])
    world.stop_beside(name)


def _relabel(world: World, rules: str) -> None:
    def changed(_: Document, job: Document) -> None:
        job["metric_relabel_configs"] = json.loads(rules)

    world.reconfigure(changed)


def _scrape(world: World, settings: str) -> None:
    def changed(_: Document, job: Document) -> None:
        wanted = json.loads(settings)
        if "labels" in wanted:
            job["static_configs"][0]["labels"] = wanted.pop("labels")
        job.update(wanted)

    world.reconfigure(changed)


def _interval(world: World, seconds: str) -> None:
    world.reconfigure(lambda document, _: document["global"].update(scrape_interval=f"{seconds}s"))


def _second_job(world: World, name: str) -> None:
    world.reconfigure(lambda document, job: document["scrape_configs"].append({**job, "job_name": name}))


def _second_target(world: World, host: str) -> None:
    world.retarget(lambda targets: [*targets, f"{host}:{targets[0].rpartition(':')[2]}"])


def _stale_target(world: World, leads: str, jobs: str) -> None:
    address = world.foreign_page(leads, jobs, "acme")
    world.retarget(lambda targets: [*targets, address])


def _other_page(world: World, leads: str, jobs: str) -> None:
    address = world.foreign_page(leads, jobs, "umbrella")
    world.retarget(lambda _: [address])


def _page(world: World, variant: str, *arguments: str) -> None:
    address = world.page_of(variant, *arguments)
    world.retarget(lambda _: [address])


def _no_page(world: World) -> None:
    world.retarget(lambda _: world._targets)  # noqa: SLF001 - as they were


def _other_prometheus(world: World, leads: str = "", jobs: str = "") -> None:
    record = Launcher(world.layout.root).record("prometheus")
    if record is None:
        raise RuntimeError("there is no Prometheus")
    port = Ports.free().prometheus
    job = {"job_name": SINK, "static_configs": [{"targets": [world.foreign_page(leads, jobs, "umbrella")]}]}
    path = world.directory / "other-prometheus.yml"
    jobs_of_it = [job] if leads else []
    path.write_text(yaml.safe_dump({"global": {"scrape_interval": "2s"}, "scrape_configs": jobs_of_it}), "utf-8")
    command = (
        record.launch.command[0],
        f"--config.file={path}",
        f"--storage.tsdb.path={world.directory / 'other-prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    world.program_beside(command)
    world.wait_for_answer(f"http://127.0.0.1:{port}/-/ready")
    world.let_grafana_ask(f"http://127.0.0.1:{port}")


def _answers(world: World, variant: str, *arguments: str) -> None:
    port = Ports.free().prometheus
    world.beside("benchmarks.losses.broken.answers", str(port), world.target.prometheus.url, variant, *arguments)
    world.wait_for_answer(f"http://127.0.0.1:{port}/-/ready")
    world.let_grafana_ask(f"http://127.0.0.1:{port}")


def _panel_filter(world: World, tenant: str) -> None:
    document = json.loads(world.layout.dashboard.read_text("utf-8-sig"))
    for panel in document["panels"]:
        if panel["id"] == 20:  # noqa: PLR2004 - the runbook's number
            for target in panel["targets"]:
                target["expr"] = target["expr"].replace("_total[", f'_total{{tenant_id="{tenant}"}}[')
    world.layout.dashboard.write_text(json.dumps(document, indent=2), "utf-8")
    world.restart("grafana")


def _new_kafka(world: World, partitions: str) -> None:
    launcher = Launcher(world.layout.root)
    record = launcher.record("kafka")
    if record is None:
        raise RuntimeError("there is no broker")
    stack.stop_service(world.directory, "kafka")
    command = tuple(re.sub(r"^(apexflow\..*):\d+$", rf"\1:{partitions}", word) for word in record.launch.command)
    launcher.start("kafka", replace(record.launch, command=command))
    world.wait_until_ready("kafka")
    world.command("stack.up")
    world.created.clear()


def _new_stack(world: World) -> None:
    world.command("stack.down")
    world.up()
    world.created.clear()


def _empty_prometheus(world: World) -> None:
    stack.stop_service(world.directory, "prometheus")
    shutil.rmtree(world.layout.data / "prometheus")
    stack.start_service(world.directory, "prometheus")
    world.wait_until_ready("prometheus")


def _apexflow(world: World, *variant: str) -> None:
    record = Launcher(world.layout.root).record("apexflow")
    options = record.launch.command[3:] if record else ()
    if "--" in options:
        options = options[options.index("--") + 1 :]
    world.instead("apexflow", "-m", "benchmarks.losses.broken.apexflow", *variant, "--", *options)


def _busy(world: World, per_s: str) -> None:
    world._until_end.enter_context(OtherProducer(world.bootstrap).busy(int(per_s)))  # noqa: SLF001 - this module's


def _tenants(world: World, topic: str, many: str, tenants: str) -> None:
    name: Callable[[int], str] = lambda number: f"tenant-{number % int(tenants):05d}"  # noqa: E731 - it has an argument more elsewhere
    OtherProducer(world.bootstrap).write(topic_of(topic), int(many), name)


def _sink_environment(world: World, *settings: str) -> None:
    world.restart(SINK, environment=dict(setting.split("=", 1) for setting in settings))


VERBS: Final[dict[str, Callable[..., None]]] = {
    "traffic": _traffic,
    "settle": lambda world, scrapes: world.settle(int(scrapes)),
    "apexflow": _apexflow,
    "sink": lambda world, *words: world.instead(SINK, "-m", "benchmarks.losses.broken.sink", *words),
    "field-sink": _field_sink,
    "sink-env": _sink_environment,
    "torn-sink": _torn_sink,
    "tear": _tear,
    "thief": _thief,
    "replica": _replica,
    "replica-leaves": _replica_leaves,
    "relabel": _relabel,
    "scrape": _scrape,
    "interval": _interval,
    "second-job": _second_job,
    "second-target": _second_target,
    "stale-target": _stale_target,
    "other-page": _other_page,
    "page": _page,
    "no-page": _no_page,
    "other-prometheus": _other_prometheus,
    "answers": _answers,
    "panel-filter": _panel_filter,
    "new-kafka": _new_kafka,
    "new-stack": _new_stack,
    "empty-prometheus": _empty_prometheus,
    "restart": lambda world, name: world.restart(name),
    "kill": lambda world, name: world.restart(name, kill=True),
    "freeze": lambda world, name: world.signal(name, signal.SIGSTOP),
    "thaw": lambda world, name: world.signal(name, signal.SIGCONT),
    "busy": _busy,
    "produce": lambda world, topic, many, tenant: OtherProducer(world.bootstrap).write(
        topic_of(topic), int(many), lambda _: tenant
    ),
    "tenants": _tenants,
    "garbage": lambda world, kind, topic, many: OtherProducer(world.bootstrap).write_garbage(
        kind, topic_of(topic), int(many)
    ),
    "transactions": lambda world, topic, committed, aborted: OtherProducer(world.bootstrap).write_transactions(
        topic_of(topic), int(committed), int(aborted)
    ),
    "delete-records": lambda world: OtherProducer(world.bootstrap).delete_records(),
}
