"""Sinks, ApexFlow, the broker and other members of the group: stopped, replaced and joined."""

import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.losses.asking import fetched
from benchmarks.losses.events import topic_of
from benchmarks.losses.scraping import retarget, settle
from benchmarks.losses.world import CHECKOUT, SINK, World
from runbook.local_stack.ports import Ports
from runbook.waiting import Pending

_TORN: Final = CHECKOUT / "tests/sink/broken_sink.py"
_OWNED: Final = re.compile(r"^crm_events_next_offset", re.MULTILINE)
_TOPICS: Final = f"{topic_of('leads')},{topic_of('jobs')}"
_PARTITIONS: Final = 4


# ApexFlow and the stack


def _apexflow(world: World, *variant: str) -> None:
    options = world.launch_of("apexflow").command[3:]
    if "--" in options:
        options = options[options.index("--") + 1 :]
    world.instead("apexflow", "-m", "benchmarks.losses.broken.apexflow", *variant, "--", *options)


def _new_kafka(world: World, partitions: str) -> None:
    launch = world.launch_of("kafka")
    world.stop("kafka")
    command = tuple(re.sub(r"^(apexflow\..*):\d+$", rf"\1:{partitions}", word) for word in launch.command)
    world.start_as("kafka", replace(launch, command=command))
    world.wait_until_ready("kafka")
    world.command("stack.up")
    world.created.clear()


def _new_stack(world: World) -> None:
    world.command("stack.down")
    world.up()
    world.created.clear()


def _empty_prometheus(world: World) -> None:
    world.stop("prometheus")
    shutil.rmtree(world.layout.data / "prometheus")
    world.start("prometheus")


def _restart(world: World, name: str, *, kill: bool = False) -> None:
    world.stop(name, kill=kill)
    world.start(name)


def _blink(world: World, name: str, scrapes: str) -> None:
    """Stop a part by SIGSTOP for so many scrapes."""
    world.signal(name, signal.SIGSTOP)
    settle(world, scrapes)
    world.signal(name, signal.SIGCONT)


def _gone(world: World, name: str) -> None:
    world.wait(lambda: not world.is_running(name) or Pending("it runs"), f"the end of {name}")


# The sink


def _sink_environment(world: World, *settings: str) -> None:
    world.stop(SINK)
    world.start(SINK, dict(setting.split("=", 1) for setting in settings))


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
    world.stop(SINK, kill=True)


def _broker_elsewhere(world: World) -> str:
    """Start a broker beside the stack with the same topics; return its address."""
    file, port = world.directory / "elsewhere", Ports.free().kafka_control
    topics = [word for name in _TOPICS.split(",") for word in ("--topic", f"{name}:{_PARTITIONS}")]
    options = ("--bootstrap-file", str(file), "--control-port", str(port), *topics)
    world.beside("runbook.local_stack.fakes.broker", *options)
    world.wait(lambda: file.exists() or Pending("no address"), "another broker")
    return file.read_text("ascii").strip()


def _sink_elsewhere(world: World) -> None:
    address = _broker_elsewhere(world)
    world.stop(SINK)
    world.start(SINK, {"KAFKA_BOOTSTRAP": address})


def _apexflow_elsewhere(world: World) -> None:
    (world.directory / "apexflow-bootstrap").write_text(_broker_elsewhere(world), "ascii")
    launch = world.launch_of("apexflow")
    command = list(launch.command)
    command[command.index("--bootstrap-file") + 1] = str(world.directory / "apexflow-bootstrap")
    world.stop("apexflow")
    world.start_as("apexflow", replace(launch, command=tuple(command)))
    world.wait_until_ready("apexflow")


def _journal(world: World) -> Path:
    return world.layout.data / "sink.sqlite"


def _keep_journal(world: World) -> None:
    for path in _journal(world).parent.glob("sink.sqlite*"):
        shutil.copy(path, world.directory / f"kept-{path.name}")


def _put_journal_back(world: World) -> None:
    for path in _journal(world).parent.glob("sink.sqlite*"):
        path.unlink()
    for path in world.directory.glob("kept-sink.sqlite*"):
        shutil.copy(path, _journal(world).parent / path.name.removeprefix("kept-"))


def _sql(world: World, database: str, *words: str) -> None:
    """Change the database of a part that is stopped. Raises RuntimeError where no row was changed."""
    path = _journal(world) if database == "sink" else world.layout.data / "apexflow.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        if not connection.execute(" ".join(words)).rowcount:
            raise RuntimeError(f"no row of {path.name} was changed")


# Others in the group


def _thief(world: World, group: str) -> None:
    variables = {"BOOTSTRAP": world.bootstrap, "GROUP_ID": group, "TOPICS": _TOPICS}
    name = world.beside("benchmarks.losses.broken.thief", environment=variables)
    world.wait(lambda: "assigned" in world.log_beside(name) or Pending("no partitions"), "another reader")
    world.noted["thief"] = name


def _mirror(world: World, topic: str) -> None:
    variables = {"BOOTSTRAP": world.bootstrap, "TOPIC": topic_of(topic)}
    name = world.beside("benchmarks.losses.broken.mirror", environment=variables)
    world.wait(lambda: "assigned" in world.log_beside(name) or Pending("no partitions"), "a mirror")


def _replica(world: World, how: str, group: str = SINK, *variant: str) -> None:
    """Start a second sink: `scraped` as a target of the sink's job, or `unscraped`; as it is, or with a variant."""
    ports = Ports.free()
    variables = _variables_of_a_replica(world, ports) | {"GROUP_ID": group}
    module = ("benchmarks.losses.broken.sink", *variant) if variant else ("sink",)
    name = world.program_beside((sys.executable, "-m", *module), variables)
    url = f"http://127.0.0.1:{ports.sink_metrics}/metrics"
    world.wait_for_answer(url)
    world.wait(lambda: bool(_OWNED.search(fetched(url).decode())) or Pending("no partitions"), "a replica")
    if how == "scraped":
        world.pages.append(url)
        retarget(world, lambda targets: [*targets, f"127.0.0.1:{ports.sink_metrics}"])
    world.noted |= {"replica": name, "replica page": url}


def _variables_of_a_replica(world: World, ports: Ports) -> dict[str, str]:
    """Return the sink's own; a journal in SQLite is for one process only."""
    launch = world.launch_of(SINK)
    files: Mapping[str, str] = {
        name: Path(path).read_text("utf-8").strip() for name, path in launch.environment_files.items()
    }
    variables = {**launch.environment, **files, "PROM_PORT": str(ports.sink_metrics), "HTTP_PORT": str(ports.sink_http)}
    if variables["SINK_JOURNAL"].startswith("sqlite"):
        variables["SINK_JOURNAL"] = "none"
    return variables


def _replica_leaves(world: World) -> None:
    url = world.noted["replica page"]
    if url in world.pages:
        world.pages.remove(url)
        retarget(world, lambda targets: [one for one in targets if one not in url])
    world.stop_beside(world.noted["replica"])


def _replica_killed(world: World) -> None:
    """It stays a target of the sink's job."""
    world.pages.remove(world.noted["replica page"])
    world.kill_beside(world.noted["replica"])


VERBS: Final[dict[str, Callable[..., None]]] = {
    "apexflow": _apexflow,
    "apexflow-elsewhere": _apexflow_elsewhere,
    "blink": _blink,
    "new-kafka": _new_kafka,
    "new-stack": _new_stack,
    "empty-prometheus": _empty_prometheus,
    "stop": lambda world, name: world.stop(name),
    "start": lambda world, name: world.start(name),
    "restart": _restart,
    "kill": lambda world, name: _restart(world, name, kill=True),
    "gone": _gone,
    "sink": lambda world, *words: world.instead(SINK, "-m", "benchmarks.losses.broken.sink", *words),
    "sink-env": _sink_environment,
    "sink-elsewhere": _sink_elsewhere,
    "field-sink": _field_sink,
    "torn-sink": _torn_sink,
    "tear": _tear,
    "keep-journal": _keep_journal,
    "put-journal-back": _put_journal_back,
    "sql": _sql,
    "thief": _thief,
    "thief-leaves": lambda world: world.stop_beside(world.noted["thief"]),
    "mirror": _mirror,
    "replica": _replica,
    "replica-leaves": _replica_leaves,
    "replica-killed": _replica_killed,
}
