"""The whole stack: up, down, status; after every kind of crash nothing is left that `down` does not find."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from runbook.errors import LockedError, RunbookError, UsageError
from runbook.local_stack import services, stack
from runbook.local_stack.layout import Layout
from runbook.local_stack.real import found_programs
from runbook.local_stack.service_spec import StackPlan
from runbook.local_stack.tools import found_tools
from runbook.locks import target_lock
from runbook.observer import NullObserver
from runbook.runs.new_run import begin_run
from runbook.settings import LOCAL, STACK_DIR, STATE_DIR, load_target
from runbook.systems.processes.launcher import MARKER, Launcher

pytestmark = pytest.mark.stack

NAMES = {"keycloak", "gateway", "apexflow", "kafka", "crm-events-sink", "prometheus", "alertmanager", "grafana"}
UP = """
import os, signal, sys
from pathlib import Path
from runbook.interrupts import become_interruptible
from runbook.observer import NullObserver
from runbook.local_stack import stack
from runbook.systems.processes.launcher import Launcher

become_interruptible()
reader, writer = os.pipe()  # signal.pause() would sleep on after a signal that comes a moment before it
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
left, start = int(sys.argv[2]), Launcher.start

def one_more():
    global left
    left -= 1
    if left < 0:
        print("held", flush=True)
        os.read(reader, 1)

class Counter(NullObserver):
    def says(self, text):
        if "is ready" in text:
            one_more()

def started(launcher, name, launch):
    record = start(launcher, name, launch)
    one_more()
    return record

if left:
    left -= 1
else:
    Launcher.start = started
stack.up(Path(sys.argv[1]), Counter())
"""

Until = Callable[[Callable[[], bool]], None]


@contextmanager
def held_up(folder: Path, *, ready: int) -> Iterator[subprocess.Popen[str]]:
    """Have an `up` that waits for a signal once so many parts are ready; with 0, once the first has been started."""
    command = [sys.executable, "-c", UP, str(folder), str(ready)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert up.stdout.readline() == "held\n"
        yield up


class Listener(NullObserver):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def says(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Have Prometheus and Alertmanager; without a way to get them a laptop skips, and CI fails."""
    try:
        found_tools(print)
    except RunbookError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the working directory of a stack that is up, and that each test leaves up."""
    directory = tmp_path_factory.mktemp("stack")
    stack.up(directory, NullObserver())
    yield directory
    stack.down(directory, NullObserver())
    assert marked(directory) == []


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """Return the working directory of a stack that the test brings up, and may leave in any state."""
    yield tmp_path
    stack.down(tmp_path, NullObserver())
    assert marked(tmp_path) == []


def marked(directory: Path) -> list[str]:
    """Every living process with the stack's mark: an own look at the machine, not the launcher's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(directory / STACK_DIR) and process.status() != "zombie":
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def pids(directory: Path) -> dict[str, int | None]:
    return {part.name: part.pid for part in stack.status(directory)}


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - http:// of the stack itself
        return str(response.read().decode())


def test_every_part_is_up_and_says_what_it_is(shared: Path) -> None:
    """Each part runs, is ready, has an address, and is called real or a stand-in; the faster intervals are told."""
    parts = {part.name: part for part in stack.status(shared)}

    assert set(parts) == NAMES
    assert all(part.running and part.address for part in parts.values())
    assert {part.name for part in parts.values() if part.kind == "real"} == {
        "crm-events-sink",
        "prometheus",
        "alertmanager",
    }
    assert {part.name: part.detail for part in parts.values() if part.detail} == {
        "crm-events-sink": "session of 3 s (production: 10 s)",
        "prometheus": "scrapes and evaluates every 2 s (production: 10 s and 30 s)",
    }


def test_the_target_leads_to_the_stack(shared: Path, until: Until) -> None:
    """Target `local` holds the addresses of the parts, and files in the copy of monitoring/."""
    target = load_target("local", directory=shared)

    assert target.runtime.kind == "processes"
    assert target.files.dashboard == shared / ".stack/monitoring/grafana/dashboards/crm_events_pipeline.json"
    assert target.prometheus.rules_inside == str(target.files.rules)
    assert "crm_events_ingested_total" in answer(target.sink.metrics_url)

    def scraped() -> bool:
        return '"value":[' in answer(f"{target.prometheus.url}/api/v1/query?query=up%7Bjob=%22crm-events-sink%22%7D==1")

    until(scraped)


def test_rules_are_served_from_the_copy(shared: Path) -> None:
    """Prometheus has loaded the copied rules, with the faster interval, and knows its Alertmanager."""
    url = load_target("local", directory=shared).prometheus.url

    groups = {group["name"]: group for group in json.loads(answer(f"{url}/api/v1/rules"))["data"]["groups"]}

    assert groups["crm_events_alerts"]["interval"] == 2
    assert groups["crm_events_alerts"]["file"] == str(shared / ".stack/monitoring/prometheus-crm-events-rules.yml")


def test_the_checkout_stays_clean(shared: Path) -> None:
    """Only the copy differs from the reference installation, and only in addresses and intervals."""
    reference = Path(__file__).parents[2] / "monitoring"
    copy = shared / ".stack/monitoring"

    changed = {
        str(path.relative_to(reference)): [
            line
            for line in (copy / path.relative_to(reference)).read_bytes().splitlines()
            if line not in path.read_bytes().splitlines()
        ]
        for path in reference.rglob("*")
        if path.is_file() and path.read_bytes() != (copy / path.relative_to(reference)).read_bytes()
    }

    assert set(changed) == {
        "prometheus.yml",
        "prometheus-crm-events-rules.yml",
        "grafana/provisioning/datasources/prometheus.yml",
        "grafana/provisioning/dashboards/dashboards.yml",
    }
    lines = [line.strip() for changes in changed.values() for line in changes]
    assert all(re.search(rb"127\.0\.0\.1|\.stack/|nterval: 2s|targets: \[\]", line) for line in lines)


def test_second_up_changes_nothing(shared: Path) -> None:
    """Everything runs: it says so, and no process is another one."""
    before = pids(shared)
    observer = Listener()

    stack.up(shared, observer)

    assert observer.lines == ["the stack is up already; nothing was changed"]
    assert pids(shared) == before


def test_second_up_starts_what_is_dead(shared: Path) -> None:
    """Only the dead part starts again, at its old port."""
    before = {part.name: part for part in stack.status(shared)}
    stack.stop_service(shared, "grafana", kill=True)
    dead = {part.name: part for part in stack.status(shared)}["grafana"]

    after = {part.name: part for part in stack.up(shared, NullObserver())}

    assert not dead.running
    assert {name for name in NAMES if after[name].pid != before[name].pid} == {"grafana"}
    assert after["grafana"].address == before["grafana"].address


def test_a_broker_that_died_takes_its_clients_along(shared: Path) -> None:
    """The mock broker comes back at another port: ApexFlow and the sink start again, and the target knows it."""
    before = {part.name: part for part in stack.status(shared)}
    stack.stop_service(shared, "kafka", kill=True)

    after = {part.name: part for part in stack.up(shared, NullObserver())}

    restarted = {name for name in NAMES if after[name].pid != before[name].pid}
    assert restarted == {"kafka", "apexflow", "crm-events-sink"}
    assert load_target("local", directory=shared).kafka.bootstrap == after["kafka"].address


def test_an_exit_code_is_shown(shared: Path, until: Until) -> None:
    """Status names the code of a part that was killed."""
    stack.stop_service(shared, "gateway", kill=True)

    until(lambda: {part.name: part.detail for part in stack.status(shared)}["gateway"] == "exited with code 137")
    stack.up(shared, NullObserver())


def test_changed_options_and_back(shared: Path, until: Until) -> None:
    """A fault starts a part with other options, status says so, and a plain start brings the planned ones back."""
    stack.start_service(
        shared, "keycloak", extra_args=["--no-tenant-claim"], extra_env={"STANDIN_USERS": "other:other"}
    )
    launcher = Launcher(shared / STACK_DIR)
    changed = launcher.record("keycloak")

    assert changed is not None
    assert changed.launch.command[-1] == "--no-tenant-claim"
    assert changed.launch.environment["STANDIN_USERS"] == "other:other"
    assert "changed options" in {part.name: part.detail for part in stack.status(shared)}["keycloak"]

    stack.start_service(shared, "keycloak")
    until(lambda: not {part.name: part.detail for part in stack.status(shared)}["keycloak"])


def test_a_value_given_goes_before_a_value_read(shared: Path) -> None:
    """A wrong broker can be given to the sink, although its address is else read from the broker's file."""
    stack.start_service(shared, "crm-events-sink", extra_env={"KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    pid = pids(shared)["crm-events-sink"]

    assert pid is not None
    assert psutil.Process(pid).environ()["KAFKA_BOOTSTRAP"] == "127.0.0.1:1"
    stack.up(shared, NullObserver())


def test_up_heals_what_is_not_ready(shared: Path) -> None:
    """A part that runs but does not get ready is started again as it was planned."""
    stack.start_service(shared, "crm-events-sink", extra_env={"KAFKA_BOOTSTRAP": "127.0.0.1:1"})

    after = {part.name: part for part in stack.up(shared, NullObserver())}

    assert after["crm-events-sink"].detail == "session of 3 s (production: 10 s)"


def test_another_set_of_real_programs_is_refused(shared: Path) -> None:
    """A stack that is up keeps its programs: the refusal says how to get the others, and nothing is changed."""
    before = pids(shared)

    with pytest.raises(UsageError, match="stand-ins for kafka, postgres") as caught:
        stack.up(shared, NullObserver(), real=frozenset({"kafka", "postgres"}))

    assert caught.value.fix == "inv stack.down, then inv stack.up --with kafka=real,postgres=real"
    assert pids(shared) == before


def test_no_such_part(shared: Path) -> None:
    """The error lists the parts there are."""
    with pytest.raises(RunbookError) as caught:
        stack.stop_service(shared, "zookeeper")

    assert all(name in caught.value.fix for name in NAMES)


def test_two_at_the_same_time(shared: Path) -> None:
    """While another run holds the stack, up and down say so and touch nothing."""
    before = pids(shared)
    with target_lock(shared / STATE_DIR, target=LOCAL):
        for task in (stack.up, stack.down):
            with pytest.raises(LockedError):
                task(shared, NullObserver())

    assert pids(shared) == before


def test_down_is_idempotent(own: Path) -> None:
    """The second down, like the one without any stack, says that nothing is running."""
    stack.up(own, NullObserver())
    observer = Listener()

    stack.down(own, observer)
    stack.down(own, observer)

    assert observer.lines == ["the stack has been ended", "nothing is running"]
    assert not (own / STACK_DIR).exists()
    assert stack.status(own) == ()


@pytest.mark.parametrize("ready", [0, 1, 4, 7])
def test_up_killed_halfway(ready: int, own: Path) -> None:
    """After kill -9 of `up` at any point, `down` ends every process and removes the folder."""
    with held_up(own, ready=ready) as up:
        up.kill()

    assert marked(own) != []
    assert not (own / STACK_DIR / "target.toml").exists()
    assert stack.down(own, NullObserver()).has_run

    assert marked(own) == []
    assert not (own / STACK_DIR).exists()


def test_up_after_a_killed_up(own: Path) -> None:
    """A stack that was half up is ended, and a new one comes up in its place."""
    with held_up(own, ready=1) as up:
        up.kill()
    orphans = set(pids(own).values()) - {None}

    parts = stack.up(own, NullObserver())

    assert all(part.running for part in parts)
    assert not orphans & {part.pid for part in parts}


@pytest.mark.parametrize("content", [b"", b"{}", None], ids=["empty", "of another version", "missing"])
def test_up_after_its_plan_was_lost(content: bytes | None, own: Path) -> None:
    """What cannot be understood any more is ended, and a new stack comes up in its place."""
    stack.up(own, NullObserver())
    orphans = set(pids(own).values())
    plan = own / STACK_DIR / "plan.json"
    plan.unlink() if content is None else plan.write_bytes(content)

    parts = stack.up(own, NullObserver())

    assert {part.name for part in parts if part.running} == NAMES
    assert not orphans & {part.pid for part in parts}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_interrupted(number: signal.Signals, own: Path) -> None:
    """Ctrl-C and SIGTERM end what was started, and leave with 130."""
    with held_up(own, ready=1) as up:
        up.send_signal(number)

    assert up.returncode == 130
    assert marked(own) == []
    assert stack.status(own) == ()


def test_a_part_that_does_not_come_up_leaves_the_others_running(
    own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is named with its last words and its log; target `local` is there, and the next `up` starts it alone."""
    broken = tmp_path / "alertmanager"
    broken.write_text(f'#!/bin/sh\ntest -e {tmp_path}/right && exec {found_tools(print).alertmanager} "$@"\n')
    with broken.open("a") as script:
        script.write("echo 'no templates here'; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("ALERTMANAGER", str(broken))

    with pytest.raises(RunbookError) as caught:
        stack.up(own, NullObserver())

    assert caught.value.seen == "alertmanager did not come up: it exited with code 3\n  no templates here"
    assert "no templates here" in Path(caught.value.where).read_text()
    assert "inv stack.up, which starts what is missing" in caught.value.fix
    before = {part.name: part for part in stack.status(own)}
    assert {name for name in NAMES if before[name].running} == NAMES - {"alertmanager"}
    assert before["alertmanager"].detail == "exited with code 3"
    assert load_target("local", directory=own).kafka.bootstrap == before["kafka"].address

    (tmp_path / "right").touch()
    after = {part.name: part for part in stack.up(own, NullObserver())}

    assert {name for name in NAMES if after[name].pid != before[name].pid} == {"alertmanager"}
    assert after["alertmanager"].running


def test_a_broker_that_does_not_come_up_keeps_only_its_clients_down(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ApexFlow and the sink are not started, and said to wait for it; the next `up` starts the three."""
    planned = services.planned_stack

    def without_kafka(*parts: Any) -> StackPlan:  # noqa: ANN401 - those of planned_stack
        plan = planned(*parts)
        broken = replace(plan.service("kafka").launch, command=(sys.executable, "-c", "raise SystemExit('no room')"))
        others = (replace(one, launch=broken) if one.name == "kafka" else one for one in plan.services)
        return replace(plan, services=tuple(others))

    monkeypatch.setattr(stack, "planned_stack", without_kafka)
    with pytest.raises(RunbookError) as caught:
        stack.up(own, NullObserver())

    assert caught.value.seen.splitlines() == [
        "kafka did not come up: it exited with code 1",
        "  no room",
        "apexflow was not started: it needs kafka",
        "crm-events-sink was not started: it needs kafka",
    ]
    assert {part.name for part in stack.status(own) if part.running} == NAMES - {"kafka", "apexflow", "crm-events-sink"}
    before = pids(own)
    plan = own / STACK_DIR / "plan.json"
    repaired = msgspec.json.decode(plan.read_bytes(), type=StackPlan)
    right = planned(Layout.of(own), repaired.ports, found_tools(print), found_programs(frozenset(), print))
    plan.write_bytes(msgspec.json.encode(right))

    after = stack.up(own, NullObserver())

    assert {part.name for part in after if part.running} == NAMES
    changed = {part.name for part in after if part.pid != before[part.name]}
    assert changed == {"kafka", "apexflow", "crm-events-sink"}


@pytest.mark.parametrize("name", ["kafka", "gateway", "prometheus"])
def test_a_part_that_a_signal_stopped_is_not_ready_and_runs_on(shared: Path, name: str, until: Until) -> None:
    """Of the broker there is only its file, and the kernel connects for the gateway: both look ready when frozen."""
    before = pids(shared)
    Launcher(shared / STACK_DIR).suspend(name)
    until(lambda: not {part.name: part for part in stack.status(shared)}[name].running)
    frozen = {part.name: part for part in stack.status(shared)}[name]
    assert "stopped by a signal" in frozen.detail
    assert "inv stack.up brings it back" in frozen.detail
    observer = Listener()

    after = {part.name: part for part in stack.up(shared, observer)}

    assert all(after[one].running for one in NAMES)
    assert observer.lines[0] == f"{name} was stopped by a signal (SIGSTOP): it runs on"
    assert after[name].pid == before[name], "what it holds in memory stays"


def test_down_keeps_what_somebody_corrected_and_names_it(own: Path) -> None:
    """Three files that differ, one of them added: their bytes survive the folder; the others are not copied."""
    stack.up(own, NullObserver())
    root = own / STACK_DIR
    changed = {
        "monitoring/prometheus.yml": b"# corrected\n",
        "monitoring/notes.txt": b"mine\n",
        "target.toml": b"[kafka]\nbootstrap = 'x'\n",
    }
    for name, content in changed.items():
        (root / name).write_bytes(content)
    observer = Listener()

    end = stack.down(own, observer)

    assert end.has_run
    assert not root.exists()
    assert {str(one.path.relative_to(root)): one.copy.read_bytes() for one in end.kept} == changed
    assert [one for one in observer.lines if "kept as" in one] == [str(one) for one in end.kept]
    assert all("differs from what stack.up and setup wrote; kept as " in str(one) for one in end.kept)
    assert {path.name for path in (own / STATE_DIR / "kept").rglob("*") if path.is_file()} == {
        Path(name).name for name in changed
    }


def test_down_names_the_run_that_wrote_a_file_and_copies_nothing(own: Path) -> None:
    """What setup wrote is in the backups of its run already."""
    stack.up(own, NullObserver())
    rules = load_target(LOCAL, directory=own).files.rules
    assert rules is not None
    rules.write_bytes(rules.read_bytes() + b"# by setup\n")
    run_log = begin_run(own / STATE_DIR, task="setup", target=LOCAL)
    run_log.keep(rules, rules.read_bytes())

    end = stack.down(own, NullObserver())

    (kept,) = end.kept
    assert (kept.path, kept.run_id, kept.copy.read_bytes()[-11:]) == (rules, run_log.run_id, b"# by setup\n")
    assert kept.copy.is_relative_to(run_log.folder)
    assert not (own / STATE_DIR / "kept").exists()


def test_a_stack_that_nobody_changed_leaves_nothing(own: Path) -> None:
    stack.up(own, NullObserver())

    assert stack.down(own, NullObserver()).kept == ()
    assert not (own / STATE_DIR / "kept").exists()


def test_down_removes_nothing_where_a_changed_file_cannot_be_kept(own: Path) -> None:
    """The folder stays, with the file in it, and the error says where."""
    stack.up(own, NullObserver())
    rules = load_target(LOCAL, directory=own).files.rules
    assert rules is not None
    rules.write_bytes(b"groups: []\n")
    (own / STATE_DIR / "kept").write_bytes(b"a file in the way")

    with pytest.raises(RunbookError, match="was changed, and cannot be kept"):
        stack.down(own, NullObserver())

    assert rules.read_bytes() == b"groups: []\n"
    (own / STATE_DIR / "kept").unlink()


def test_a_port_taken_in_the_meantime(own: Path) -> None:
    """A stranger on the port of a dead part is not mistaken for it, and is left alone; so are the other parts."""
    stack.up(own, NullObserver())
    stack.stop_service(own, "grafana")
    port = load_target("local", directory=own).grafana.url.rpartition(":")[2]
    stranger = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert stranger.stdout is not None
        assert "Serving" in stranger.stdout.readline()
        with pytest.raises(RunbookError, match=f"something else listens on its port {port}"):
            stack.up(own, NullObserver())
        assert stranger.poll() is None
        assert {part.name for part in stack.status(own) if part.running} == NAMES - {"grafana"}
    finally:
        stranger.terminate()
        stranger.communicate()
    assert {part.name for part in stack.up(own, NullObserver()) if part.running} == NAMES
