"""The sink's own Dockerfile, built and run as operators do; the base brings the wheels: nothing is downloaded."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.request import urlopen
from uuid import uuid4

import pytest

from runbook.local_stack.engine import docker
from tests.command_line import CHECKOUT
from tests.images.root_images import root_image
from tests.sink.mock_kafka import MockKafka  # found by the path above
from tests.sink.sink_process import LEADS, Samples, event, free_ports, wait_until  # the same

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

BASE = """
ARG ROOT
FROM ${ROOT}
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
"""
FOR_BASE = ("--python-version", "3.11", "--implementation", "cp", "--only-binary", ":all:", "--no-deps")
STOP_S = "2"  # what SIGTERM is given before SIGKILL


@pytest.fixture(scope="module")
def image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001 - without it nothing can be built
    """Build sink/Dockerfile on a base of Debian's Python."""
    folder, mark = tmp_path_factory.mktemp("base"), uuid4().hex[:8]
    base, sink = f"crm-test-base:{mark}", f"crm-test-sink:{mark}"
    (folder / "Dockerfile").write_text(BASE, encoding="utf-8")
    locked = re.findall(
        r"^((?:confluent-kafka|msgspec|prometheus-client|psycopg|psycopg-binary|typing-extensions)==\S+)",
        (CHECKOUT / "requirements.lock").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    download = (sys.executable, "-m", "pip", "download", "--quiet", *FOR_BASE, "--dest", f"{folder}/wheels", *locked)
    subprocess.run(download, check=True)
    docker("build", "--quiet", "--tag", base, "--build-arg", f"ROOT={root_image(print)}", str(folder))
    docker(
        "build", "--tag", sink, "--file", f"{CHECKOUT}/sink/Dockerfile", "--build-arg", f"BASE={base}", str(CHECKOUT)
    )
    yield sink
    docker("image", "rm", sink, base)


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    broker = MockKafka()
    broker.create(LEADS, 2)
    yield broker
    broker.close()


class Container:
    """The image as a container: on the host's network, for the mock broker listens on loopback only."""

    def __init__(self, image: str, bootstrap: str) -> None:
        self.name = f"crm-test-{uuid4().hex[:8]}"
        self.prom_port, http_port = free_ports(2)
        variables = {
            "KAFKA_BOOTSTRAP": bootstrap,
            "TOPICS": LEADS,
            "PROM_PORT": self.prom_port,
            "HTTP_PORT": http_port,
            "KAFKA_SESSION_TIMEOUT_MS": 1500,
        }
        environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        options = ("--read-only", "--network", "host", "--health-interval", "1s", *environment)
        docker("run", "--detach", "--name", self.name, *options, image)

    def state(self) -> dict[str, object]:
        """Return what the engine knows of it."""
        found: dict[str, object] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return found

    def health(self) -> object:
        """Return what the image's own probe has found."""
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.name).strip()

    def runs(self, *command: str) -> tuple[int, str]:
        """Run a command inside; return its exit code and what it printed."""
        done = subprocess.run(["docker", "exec", self.name, *command], check=False, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def counted(self) -> float:
        """Return how many events /metrics shows; 0 while nobody listens."""
        try:
            with urlopen(f"http://127.0.0.1:{self.prom_port}/metrics", timeout=5) as page:
                return Samples(page.read().decode()).counted()
        except OSError:
            return 0


@pytest.fixture
def container(image: str, kafka: MockKafka) -> Iterator[Container]:
    running = Container(image, kafka.bootstrap)
    yield running
    docker("rm", "--force", "--volumes", running.name)


def test_image_counts_without_root_on_a_read_only_file_system(kafka: MockKafka, container: Container) -> None:
    """It becomes healthy by its own probe, counts, runs as user 10001, and writes in its journal's folder alone."""
    kafka.send(LEADS, [event("acme")] * 5)
    wait_until(lambda: container.health() == "healthy", 60)
    wait_until(lambda: container.counted() == 5, 60)

    assert container.runs("id", "-u") == (0, "10001\n")
    assert container.runs("grep", "-q", "/libjemalloc.so.2$", "/proc/1/maps") == (0, "")
    refused, said = container.runs("touch", "/opt/sink/mine")
    assert (refused != 0, "Read-only file system" in said) == (True, True)
    assert container.runs("touch", "/var/lib/crm-events-sink/mine") == (0, "")
    assert container.runs("crm-events-sink", "journal", "verify")[0] == 0


def test_image_stops_in_time_and_goes_on(kafka: MockKafka, container: Container) -> None:
    """SIGTERM is enough within two seconds, the exit code is 0, and the next start goes on from the journal."""
    kafka.send(LEADS, [event("acme")] * 5)
    wait_until(lambda: container.counted() == 5, 60)

    docker("stop", "--time", STOP_S, container.name)
    assert container.state()["ExitCode"] == 0  # 137 had it been killed

    kafka.send(LEADS, [event("acme")] * 3)
    docker("start", container.name)
    wait_until(lambda: container.counted() == 8, 60)


def test_probe_sees_a_loop_that_has_stopped(container: Container) -> None:
    """The probe can say no: a process that does not answer becomes unhealthy."""
    wait_until(lambda: container.health() == "healthy", 60)
    docker("pause", container.name)
    docker("unpause", container.name)
    container.runs("python", "-c", "import os, signal; os.kill(1, signal.SIGSTOP)")
    wait_until(lambda: container.health() == "unhealthy", 60)
