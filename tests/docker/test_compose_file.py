"""monitoring/compose.yaml against the table of the target environment; no engine is needed for that."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook.local_stack.containers import NAMES
from runbook.settings import Target
from tests.images.build import SQLITE, VARIABLES

COMPOSE = Path(__file__).resolve().parents[2] / "monitoring/compose.yaml"
FIELD = [  # service, container, image, ports on the host
    ("prometheus", "aether-prom", "prom/prometheus:v2.54.1", ["9090"]),
    ("alertmanager", "aether-alertmanager", "prom/alertmanager:v0.27.0", ["9093"]),
    ("grafana", "aether-grafana", "grafana/grafana:11.2.0", ["3000"]),
    ("kafka", "kafka", "docker.redpanda.com/redpandadata/redpanda:v24.2.7", ["19092"]),
    ("keycloak", "aether-keycloak", "quay.io/keycloak/keycloak:25.0", ["8180"]),
    ("traefik", "aether-traefik", "traefik:v3.1", ["80"]),
    ("gateway", "aether-gateway", "aetherlink/gateway:local", []),
    ("apexflow", "aether-apexflow", "aetherlink/apexflow:local", []),
    ("apexflow-db", "aether-apexflow-db", "postgres:16", []),
    ("crm-events-sink", "aether-crm-events-sink", "aetherlink/crm-events-sink:local", ["9105", "9106"]),
    ("kafka-exporter", "aether-kafka-exporter", "danielqsj/kafka-exporter:v1.8.0", ["9308"]),
]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    text = COMPOSE.read_text(encoding="utf-8")
    defaults = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    found: dict[str, Any] = yaml.safe_load(defaults)["services"]
    return found


@pytest.mark.parametrize(("service", "container", "image", "ports"), FIELD)
def test_service_is_the_one_of_the_field(
    services: dict[str, Any], service: str, container: str, image: str, ports: list[str]
) -> None:
    one = services[service]

    assert (one["container_name"], one["image"]) == (container, image)
    assert [port.split(":")[1] for port in one.get("ports", [])] == ports


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    """The passwords are the runbook's own."""
    published = [port for one in services.values() for port in one.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_configuration_of_prometheus_is_mounted_file_by_file(services: dict[str, Any]) -> None:
    """A folder would hide what the field suffers from: a replaced file that stays the old one inside."""
    mounts = [mount for mount in services["prometheus"]["volumes"] if mount.startswith("./")]

    assert mounts == [
        "./prometheus.yml:/etc/prometheus/prometheus.yml:ro",
        "./prometheus-crm-events-rules.yml:/etc/prometheus/crm-events-rules.yml:ro",
    ]
    assert all((COMPOSE.parent / mount.split(":")[0]).is_file() for mount in mounts)


def test_settings_of_live_name_these_services(services: dict[str, Any]) -> None:
    target = Target.from_tables("live", {}, source="test")
    for group in (target.prometheus, target.alertmanager, target.grafana, target.kafka, target.keycloak, target.sink):
        assert services[group.service]["container_name"] == group.container


def test_stack_starts_services_of_the_file_with_images_that_it_knows(services: dict[str, Any]) -> None:
    text = COMPOSE.read_text(encoding="utf-8")

    assert {name: services[name]["container_name"] for name in NAMES} == NAMES
    assert all(f"${{{variable}:-" in text for variable in (*VARIABLES, *SQLITE))
