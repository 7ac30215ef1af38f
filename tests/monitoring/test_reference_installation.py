"""The reference installation in monitoring/ is an AetherLink as found in the field, before the runbook."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
DASHBOARD = MONITORING / "grafana/dashboards/crm_events_pipeline.json"
RULES = MONITORING / "prometheus-crm-events-rules.yml"
BOM = b"\xef\xbb\xbf"

PANELS = [  # id, type, title, (x, y, w, h), expr: the table of the target environment, in file order
    (1, "stat", "SSE Clients Connected", (0, 0, 6, 4), "crm_events_sse_clients"),
    (2, "stat", "Service Status", (6, 0, 6, 4), 'up{job="crm-events"}'),
    (3, "stat", "Messages Total", (12, 0, 6, 4), "crm_events_messages_total"),
    (4, "stat", "Availability SLO", (18, 0, 6, 4), 'avg_over_time(up{job="crm-events"}[5m]) * 100'),
    (
        5,
        "timeseries",
        "Message Throughput (events/sec)",
        (0, 4, 12, 8),
        "rate(crm_events_messages_total[5m])",
    ),
    (6, "timeseries", "SSE Clients Over Time", (12, 4, 12, 8), "crm_events_sse_clients"),
    (
        7,
        "timeseries",
        "HTTP Requests by Endpoint",
        (0, 12, 12, 8),
        "rate(crm_events_http_requests_total[5m])",
    ),
    (8, "timeseries", "Service Uptime", (12, 12, 12, 8), 'up{job="crm-events"}'),
    (9, "table", "Service Labels & Metadata", (0, 20, 12, 6), 'up{job="crm-events"}'),
    (10, "gauge", "Message Rate vs Baseline", (12, 20, 12, 6), "rate(crm_events_messages_total[5m])"),
    (11, "text", "Service Info", (0, 26, 24, 3), None),
    (13, "timeseries", "Consumer Lag (messages)", (0, 29, 12, 8), "kafka:group_lag_sum"),
    (14, "stat", "Drain ETA", (12, 29, 6, 4), "kafka:group_drain_eta_seconds"),
    (
        15,
        "stat",
        "Scale Hint (replicas)",
        (18, 29, 6, 4),
        ("ceil(clamp_min(crm_events:consumer_rate_1m, 0) / clamp_min(crm_events:consumer_peak_capacity_1h, 0.001))"),
    ),
    (16, "stat", "Backlog Drain Time (ETA)", (0, 37, 6, 4), "kafka:group_drain_eta_seconds / 60"),
    (
        17,
        "table",
        "Per-Partition Lag",
        (6, 37, 18, 8),
        'sum by (topic, partition) (kafka_consumergroup_lag{consumergroup="crm-events-sse"})',
    ),
    (
        18,
        "stat",
        "Consumer Group Size",
        (0, 45, 6, 4),
        'kafka:group_consumer_count{consumergroup="crm-events-sse"}',
    ),
    (
        19,
        "stat",
        "Hot-Key Skew Ratio",
        (6, 45, 6, 4),
        'kafka:group_skew_ratio{consumergroup="crm-events-sse"}',
    ),
    (12, "alert-list", "Active Alerts", (0, 49, 24, 6), None),
]

GROUPS = {
    "crm_events_consumer_health": None,
    "crm_events_alerts": [
        "CrmEventsNoClients",
        "CrmEventsServiceDown",
        "CrmEventsTooManyClients",
        "CrmEventsNoMessages",
        "CrmEventsHighErrorRate",
    ],
    "crm_events_kafka_consumer": None,
    "crm_events_slo": None,
    "crm_events_lag_capacity": None,
    "crm_events_lag_alerts": None,
}


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_bytes().removeprefix(BOM)))


def rule_groups() -> list[dict[str, Any]]:
    return list(yaml.safe_load(RULES.read_bytes())["groups"])


def test_dashboard_bytes_are_as_found_in_the_field() -> None:
    """BOM, LF, four spaces, non-ASCII text and a final newline: what an editor must not disturb."""
    raw = DASHBOARD.read_bytes()
    assert raw.startswith(BOM + b'{\n    "uid"')
    assert b"\r" not in raw
    assert b"\t" not in raw
    assert raw.endswith(b"}\n")
    assert not raw.removeprefix(BOM).isascii()
    assert "📊" in raw.decode()


def test_dashboard_has_the_panels_of_the_target_environment() -> None:
    """Nineteen panels in file order, Active Alerts last; most name no datasource."""
    panels = dashboard()["panels"]
    seen = [
        (
            panel["id"],
            panel["type"],
            panel["title"],
            tuple(panel["gridPos"][key] for key in "xywh"),
            panel["targets"][0]["expr"] if "targets" in panel else None,
        )
        for panel in panels
    ]
    assert seen == PANELS
    assert all(list(panel["gridPos"]) == ["x", "y", "w", "h"] for panel in panels)
    assert sum("datasource" in panel for panel in panels) < len(panels) / 2


def test_dashboard_is_addressed_by_uid_alone() -> None:
    """A top-level id is Grafana's own and must not be provisioned."""
    found = dashboard()
    assert (found["uid"], found["schemaVersion"]) == ("crm-events-pipeline", 36)
    assert "id" not in found


def test_rules_have_the_six_groups_in_order() -> None:
    """The bottom of the target group is in the middle of the file."""
    groups = rule_groups()
    assert [group["name"] for group in groups] == list(GROUPS)
    assert groups[1]["interval"] == "30s"
    assert [rule["alert"] for rule in groups[1]["rules"]] == GROUPS["crm_events_alerts"]
    assert b"CrmEventsSinkDown" not in RULES.read_bytes()


def test_rules_file_has_the_styles_found_in_the_field() -> None:
    """Block scalars, templates, double quotes, comments before rules, emoji: an editor meets them all."""
    text = RULES.read_text("utf-8")
    for style in ("expr: |\n", "{{ $value }}", 'summary: "', "      # Alert: ", "🔴"):
        assert style in text


def test_every_series_the_panels_read_from_rules_is_recorded() -> None:
    """A colon marks a recorded series (Prometheus naming practice); the panels read no unrecorded one."""
    recorded = {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}
    read = {
        word
        for panel in PANELS
        for word in (panel[4] or "").replace("(", " ").replace("{", " ").replace(",", " ").split()
        if ":" in word
    }
    assert read <= recorded
    assert len(read) == 6


def test_prometheus_scrapes_the_sink_every_ten_seconds() -> None:
    settings = yaml.safe_load((MONITORING / "prometheus.yml").read_bytes())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in settings["scrape_configs"]}
    assert settings["global"] == {"scrape_interval": "10s", "evaluation_interval": "10s"}
    assert settings["rule_files"] == ["/etc/prometheus/crm-events-rules.yml"]
    assert jobs["crm-events-sink"] == ["aether-crm-events-sink:9105"]
    assert {"prometheus", "crm-events", "kafka-exporter"} <= set(jobs)


def test_datasource_is_the_default_without_a_fixed_uid() -> None:
    """Grafana makes the uid up, so no file may rely on one."""
    provisioned = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_bytes())
    (source,) = provisioned["datasources"]
    seen = (source["name"], source["isDefault"], source["url"])
    assert seen == ("Prometheus", True, "http://aether-prom:9090")
    assert "uid" not in source


def test_dashboards_are_provisioned_from_a_folder() -> None:
    provisioned = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/dashboards.yml").read_bytes())
    (provider,) = provisioned["providers"]
    assert (provider["type"], provider["updateIntervalSeconds"]) == ("file", 10)
    assert provider["options"] == {
        "path": "/var/lib/grafana/dashboards",
        "foldersFromFilesStructure": False,
    }


def test_promtool_accepts_configuration_and_rules(promtool: str, tmp_path: Path) -> None:
    """The container's path of the rules is replaced, so that promtool reads them from prometheus.yml."""
    copy = tmp_path / "prometheus.yml"
    text = (MONITORING / "prometheus.yml").read_text("utf-8")
    copy.write_text(text.replace("/etc/prometheus/crm-events-rules.yml", str(RULES)), "utf-8")
    answer = subprocess.run([promtool, "check", "config", str(copy)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "21 rules found" in answer.stdout


def test_amtool_accepts_the_alertmanager_configuration(amtool: str) -> None:
    """The sink's alert reaches a receiver that exists."""
    settings = str(MONITORING / "alertmanager.yml")
    command = [amtool, "config", "routes", "test", f"--config.file={settings}", "team=crm"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "crm-page\n"), answer.stderr
