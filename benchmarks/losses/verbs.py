"""The words of the lists. Those of commands and of other producers are here; each other module has its own."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks.losses import jobs, onlookers, parts, scraping, showing, topics
from benchmarks.losses.asking import fetched
from benchmarks.losses.events import OtherProducer, topic_of
from benchmarks.losses.oracle import created, in_kafka, messages, on_pages
from benchmarks.losses.world import World
from runbook.settings import LOCAL, STATE_DIR
from runbook.waiting import Pending

_MAY_FAIL: Final = frozenset({"verify", "troubleshoot"})
_WITHOUT_TARGET: Final = frozenset({"stack.break", "stack.mend"})
_SOME: Final = 3
_END_S: Final = 60.0


def carry_out(world: World, step: str) -> None:
    """Carry out one step of a list."""
    verb, _, rest = step.partition(" ")
    VERBS[verb](world, *([rest] if rest.startswith(("[", "{")) else rest.split()))


def _traffic(world: World, leads: str, jobs: str, rate: str = "") -> None:
    words = ["--leads", leads, "--jobs", jobs, *(["--rate", rate] if rate else [])]
    code, document = world.command("traffic", "--target", LOCAL, "--yes", *words)
    rows = (document.get("ledger") or {}).get("rows", [])
    if len(rows) != int(leads) + int(jobs):
        raise RuntimeError(f"traffic: exit code {code}, {len(rows)} rows: {document.get('problem')}")
    world.created += rows


def _failed_traffic(world: World, leads: str, jobs: str) -> None:
    """A traffic run that creates nothing, because ApexFlow is down."""
    code, _ = world.command("traffic", "--target", LOCAL, "--yes", "--leads", leads, "--jobs", jobs)
    if not code:
        raise RuntimeError("traffic did not fail")


def _customers(world: World, leads: str, tenant: str) -> None:
    """Create leads as the gateway does for others than this tool."""
    options = world.launch_of("apexflow").command
    url = f"http://127.0.0.1:{options[options.index('--port') + 1]}/leads"
    headers = {"x-tenant-id": tenant, "content-type": "application/json"}
    for number in range(int(leads)):
        lead = {"name": f"Customer {number}", "email": f"{time.time_ns()}@{tenant}.example"}
        fetched(url, headers=headers, data=json.dumps(lead).encode())


def _ended_traffic(number: signal.Signals) -> Callable[[World, str, str, str], None]:
    """Return a traffic run that gets a signal once some of its events are in Kafka."""

    def ended(world: World, leads: str, jobs: str, rate: str) -> None:
        before = in_kafka(world).total()
        words = ("traffic", "--target", LOCAL, "--yes", "--leads", leads, "--jobs", jobs, "--rate", rate)
        with subprocess.Popen(
            world.argv(*words), cwd=world.directory, env=world.environment(), stdout=subprocess.DEVNULL, stderr=-3
        ) as run:
            world.wait(lambda: in_kafka(world).total() >= before + _SOME or Pending("few events"), "some events")
            run.send_signal(number)
            run.wait(_END_S)

    return ended


def _amid(world: World, leads: str, jobs: str, rate: str, *step: str) -> None:
    """Carry out a step in the middle of a traffic run."""
    before = in_kafka(world).total()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(_traffic, world, leads, jobs, rate)
        world.wait(lambda: in_kafka(world).total() >= before + _SOME or Pending("few events"), "some events")
        carry_out(world, " ".join(step))
        run.result()


def _neighbour(world: World, leads: str, jobs: str) -> None:
    """Bring a stack up in a folder of its own, and have a traffic run there; it stays until the end of the case."""
    folder = world.directory / "neighbour"
    folder.mkdir()
    other = World(folder)
    world.until_end.callback(other.down)
    other.up()
    _traffic(other, leads, jobs)


def _command(world: World, name: str, *words: str) -> None:
    target = () if name in _WITHOUT_TARGET else ("--target", LOCAL)
    code, document = world.command(name, *target, *words)
    if code and name not in _MAY_FAIL:
        raise RuntimeError(f"{name}: exit code {code}: {document.get('problem')}")


def _counted(world: World) -> None:
    """Wait until the sink has counted what is in Kafka."""

    def counted() -> bool | Pending:
        kafka, pages = in_kafka(world).total(), on_pages(world).total()
        return kafka == pages or Pending(f"{kafka} in Kafka, {pages} counted")

    world.wait(counted, "the sink")


def _arrived(world: World) -> None:
    """Wait until as many events are in Kafka as were created."""

    def arrived() -> bool | Pending:
        kafka, wanted = in_kafka(world).total(), created(world).total()
        return kafka >= wanted or Pending(f"{kafka} of {wanted} events")

    world.wait(arrived, "the events")


def _busy(world: World, per_s: str) -> None:
    world.until_end.enter_context(OtherProducer(world.bootstrap).busy(int(per_s)))


def _produce(world: World, topic: str, many: str, tenant: str) -> None:
    OtherProducer(world.bootstrap).write(topic_of(topic), int(many), lambda _: tenant)


def _tenants(world: World, topic: str, many: str, tenants: str) -> None:
    OtherProducer(world.bootstrap).write(
        topic_of(topic), int(many), lambda number: f"tenant-{number % int(tenants):05d}"
    )


def _stamped(world: World, topic: str, many: str, tenant: str, seconds: str) -> None:
    OtherProducer(world.bootstrap).write_stamped(topic_of(topic), int(many), tenant, float(seconds))


def _again(world: World, topic: str, many: str) -> None:
    """Write the first messages of a topic to it once more, as somebody does who replays a backup."""
    mine = [(name, value) for name, value in messages(world.bootstrap) if name == topic_of(topic)]
    OtherProducer(world.bootstrap).write_again(mine[: int(many)])


def _garbage(world: World, kind: str, topic: str, many: str) -> None:
    OtherProducer(world.bootstrap).write_garbage(kind, topic_of(topic), int(many))


def _extras(world: World, topic: str, many: str, tenant: str) -> None:
    OtherProducer(world.bootstrap).write_extras(topic_of(topic), int(many), tenant)


def _updates(world: World, times: str) -> None:
    leads = [row for row in world.created if row["kind"] == "lead"]
    OtherProducer(world.bootstrap).write_updates(leads * int(times))


def _tombstones(world: World) -> None:
    OtherProducer(world.bootstrap).write_tombstones(world.created)


def _same_keys(world: World, topic: str, many: str, keys: str) -> None:
    OtherProducer(world.bootstrap).write_keys(topic_of(topic), int(many), int(keys))


def _transactions(world: World, topic: str, committed: str, aborted: str) -> None:
    OtherProducer(world.bootstrap).write_transactions(topic_of(topic), int(committed), int(aborted))


def _open_transaction(world: World, topic: str, many: str) -> None:
    """Open a transaction of others; `quiet` aborts it."""
    world.until_end.callback(OtherProducer(world.bootstrap).open_transaction(topic_of(topic), int(many)))


VERBS: Final[dict[str, Callable[..., None]]] = {
    **jobs.VERBS,
    **onlookers.VERBS,
    **parts.VERBS,
    **scraping.VERBS,
    **showing.VERBS,
    **topics.VERBS,
    "traffic": _traffic,
    "interrupted-traffic": _ended_traffic(signal.SIGINT),
    "killed-traffic": _ended_traffic(signal.SIGKILL),
    "failed-traffic": _failed_traffic,
    "customers": _customers,
    "amid": _amid,
    "command": _command,
    "neighbour": _neighbour,
    "forget-records": lambda world: shutil.rmtree(world.directory / STATE_DIR / "runs"),
    "freeze": lambda world, name: world.signal(name, signal.SIGSTOP),
    "thaw": lambda world, name: world.signal(name, signal.SIGCONT),
    "counted": _counted,
    "arrived": _arrived,
    "busy": _busy,
    "quiet": lambda world: world.until_end.close(),
    "produce": _produce,
    "tenants": _tenants,
    "stamped": _stamped,
    "again": _again,
    "garbage": _garbage,
    "extras": _extras,
    "updates": _updates,
    "tombstones": _tombstones,
    "same-keys": _same_keys,
    "transactions": _transactions,
    "open-transaction": _open_transaction,
}
