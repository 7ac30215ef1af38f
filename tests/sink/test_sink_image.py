"""What the Dockerfile rests on, as far as it can be shown without Docker."""

import json
import os
import re
import subprocess
import sys
import tomllib

from sink import VERSION
from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import CHECKOUT, LEADS, SinkProcess, free_ports

DOCKERFILE = (CHECKOUT / "sink/Dockerfile").read_text(encoding="utf-8")


def test_version() -> None:
    """The sink calls itself what the project is called."""
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION


def test_healthcheck(kafka: MockKafka, sink: SinkProcess) -> None:
    """The image's own probe succeeds for a live sink and fails for a port without a listener; it needs no curl."""
    kafka.create(LEADS, 1)
    sink.start_ready()
    found = re.search(r"CMD (\[.*\])", DOCKERFILE)
    assert found is not None
    _, *arguments = json.loads(found[1])
    (unused,) = free_ports(1)
    for port, healthy in ((sink.http_port, True), (unused, False)):
        env = {**os.environ, "HTTP_PORT": str(port)}
        done = subprocess.run([sys.executable, *arguments], env=env, check=False, capture_output=True, timeout=20)
        assert (done.returncode == 0) == healthy


def test_locked_packages() -> None:
    """What the image installs is everything that the sink imports, found in the lock with its hashes."""
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    pattern = re.search(r"ours = /(\^.*?)/", DOCKERFILE)
    assert pattern is not None
    names = set(re.findall(r"^([a-z-]+)==", lock, re.MULTILINE)) & set(re.findall(r"[a-z-]+", pattern[1]))
    imported = set()
    for path in (CHECKOUT / "sink").rglob("*.py"):
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    ours = {name for name in imported if name not in sys.stdlib_module_names and name != "sink"}
    assert ours == {"confluent_kafka", "msgspec", "prometheus_client", "psycopg"}
    assert names == {name.replace("_", "-") for name in ours} | {"psycopg-binary", "typing-extensions"}
