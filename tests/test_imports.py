"""What is loaded before anything is used: a command starts without the libraries that it does not need."""

import subprocess
import sys

# The edge of an SDK, which its client imports on first use.
EDGES = (
    "runbook.systems.docker.sdk",
    "runbook.systems.kafka.errors",
    "runbook.systems.kafka.reading",
    "runbook.systems.http_session",
    "runbook.systems.kafka.refusals",
    "runbook.systems.keycloak.openid",
    "runbook.systems.timed_sockets",
)
LISTING = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    for module in pkgutil.walk_packages(sys.modules[name].__path__, f"{name}."):
        if module.name not in LEFT_OUT:
            importlib.import_module(module.name)
print(*sys.modules)
"""
SDKS = frozenset(
    {
        "confluent_kafka",
        "docker",
        "jinja2",
        "jsonschema",
        "keycloak",
        "prometheus_client",
        "psycopg",
        "requests",
        "urllib3",
    }
)


def loaded_by(*packages: str, left_out: tuple[str, ...] = EDGES) -> frozenset[str]:
    """Return the names of all modules that are there once every module of some packages has been imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"LEFT_OUT = {left_out!r}{LISTING}", *packages],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return frozenset(done.stdout.split())


def test_no_sdk_is_loaded_before_it_is_used() -> None:
    loaded = loaded_by("runbook.commands", "runbook.systems", "runbook.diagnosis")

    assert loaded & SDKS == set()
    assert {"runbook.commands.verify.steps", "runbook.systems.docker.client", "runbook.diagnosis.facts"} <= loaded


def test_an_sdk_that_is_loaded_is_seen() -> None:
    """Negative control: the modules that are left out load them."""
    loaded = loaded_by("runbook.systems", left_out=()) & SDKS

    assert loaded == {"confluent_kafka", "docker", "keycloak", "requests", "urllib3"}


def test_the_command_line_is_there_without_settings_and_screen() -> None:
    """`inv --list` and `--help` need neither pydantic nor rich, and no client."""
    code = "import sys, tasks; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = frozenset(done.stdout.split())

    assert loaded & (SDKS | {"msgspec", "psutil", "pydantic", "rich", "runbook.settings"}) == set()
    assert "runbook.commands.setup.options" in loaded
