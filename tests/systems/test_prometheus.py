"""Prometheus's HTTP API: the real program where shapes and states matter, a scripted server for what it seldom says."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.systems.http_answer import Readiness
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.prometheus.records import ReloadAnswer
from runbook.systems.prometheus.settings import PrometheusSettings
from runbook.waiting import Pending, wait_until
from tests.systems.loopback_servers import Reply, ScriptedServer

CONFIG = """\
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:1']}}]}}]}}
scrape_configs:
- job_name: itself
  static_configs: [{{targets: ['127.0.0.1:{port}']}}]
- job_name: gone
  scrape_interval: 300ms
  static_configs: [{{targets: ['127.0.0.1:1']}}]
- job_name: removed
  static_configs: [{{targets: ['127.0.0.1:2']}}]
  relabel_configs: [{{action: drop, source_labels: [__address__]}}]
"""
RULES = """\
groups:
- name: crm_events_alerts
  interval: 250ms
  rules:
  - record: job:up
    expr: up * 1
  - alert: Gone
    expr: up{job="gone"} == 0
    for: 2m
    labels: {severity: warning}
    annotations: {summary: "is gone"}
"""


@pytest.fixture(scope="module")
def real(
    program: Callable[[str], str], port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Prometheus, Path]]:
    """A real Prometheus that has scraped its targets and evaluated its rules, with its folder."""
    path = program("prometheus")
    folder, number = tmp_path_factory.mktemp("prometheus"), port()
    (folder / "prometheus.yml").write_text(CONFIG.format(port=number))
    (folder / "rules.yml").write_text(RULES)
    command = [path, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-lifecycle"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{number}"], cwd=folder, stdout=log, stderr=log
        )
    client = Prometheus(PrometheusSettings(url=f"http://127.0.0.1:{number}"))
    try:
        wait_for(lambda: client.ready().ready)
        wait_for(lambda: len(client.query("job:up")) == 2 and client.alertmanagers().active)
        wait_for(lambda: all(target.health != "unknown" for target in client.targets() if not target.dropped))
        yield client, folder
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=20)


def wait_for(ready: Callable[[], object]) -> object:
    def probe() -> object:
        try:
            return ready() or Pending("not yet")
        except RunbookError as error:
            return Pending(error.seen)

    return wait_until(probe, what="Prometheus's state", deadline_s=30, where="the real program", fix="see its log")


def scripted(server: ScriptedServer) -> Prometheus:
    return Prometheus(PrometheusSettings(url=server.url), timeout_s=5)


def ok(data: object) -> Reply:
    return Reply(200, {"status": "success", "data": data})


def test_ready_quotes_prometheus(real: tuple[Prometheus, Path]) -> None:
    assert real[0].ready() == Readiness(ready=True, status=200, saw="Prometheus Server is Ready.")


def test_config_in_force(real: tuple[Prometheus, Path]) -> None:
    config = real[0].config()

    assert config.rule_files == ("rules.yml",)
    assert config.jobs == ("itself", "gone", "removed")
    assert (config.scrape_interval_s, config.has_alertmanagers) == (0.2, True)
    assert "relabel_configs" in config.text


def test_targets_up_down_and_dropped(real: tuple[Prometheus, Path]) -> None:
    targets = {target.job: target for target in real[0].targets()}

    assert {job: (target.health, target.dropped) for job, target in targets.items()} == {
        "itself": ("up", False),
        "gone": ("down", False),
        "removed": ("unknown", True),
    }
    assert "connection refused" in targets["gone"].last_error
    assert targets["gone"].url == "http://127.0.0.1:1/metrics"
    assert targets["removed"].url == "http://127.0.0.1:2/metrics"
    assert (targets["itself"].scrape_interval_s, targets["gone"].scrape_interval_s) == (0.2, 0.3)
    assert is_recent(targets["itself"].last_scrape)
    assert targets["removed"].last_scrape is None


def is_recent(moment: datetime | None) -> bool:
    return moment is not None and abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_rules_with_their_state(real: tuple[Prometheus, Path]) -> None:
    (group,) = real[0].rules()
    record, alert = group.rules

    assert (group.name, group.file, group.interval_s) == ("crm_events_alerts", "rules.yml", 0.25)
    assert (record.name, record.type, record.health, record.alerts) == ("job:up", "recording", "ok", ())
    assert (alert.name, alert.type, alert.query, alert.duration_s) == ("Gone", "alerting", 'up{job="gone"} == 0', 120)
    assert (alert.labels, alert.annotations) == ({"severity": "warning"}, {"summary": "is gone"})
    assert (alert.state, alert.last_error) == ("pending", "")
    assert is_recent(alert.last_evaluation)
    (pending,) = alert.alerts
    assert (pending.state, pending.value, pending.labels["job"]) == ("pending", 0.0, "gone")
    assert pending.active_at is not None
    assert pending.active_at <= datetime.now(UTC)


def test_instant_query_of_vector_and_scalar(real: tuple[Prometheus, Path]) -> None:
    client = real[0]
    now = datetime.now(UTC)

    found = {sample.labels["job"]: sample.value for sample in client.query("up")}
    (scalar,) = client.query("1/0", at=now)

    assert found == {"itself": 1.0, "gone": 0.0}
    assert (scalar.labels, scalar.value) == ({}, float("inf"))
    assert abs(scalar.at - now) < timedelta(milliseconds=1)
    assert client.query("no_such_metric") == ()
    assert client.query("up", at=now - timedelta(days=1)) == ()


def test_raw_samples_are_those_of_the_scrapes(real: tuple[Prometheus, Path]) -> None:
    client = real[0]
    wait_for(lambda: len(client.samples('up{job="itself"}', window_s=60)[0].samples) >= 3)

    (series,) = client.samples('up{job="itself"}', window_s=60)

    assert series.labels["job"] == "itself"
    assert {value for _, value in series.samples} == {1.0}
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(series.samples))
    assert client.samples("up", window_s=60, at=datetime(2020, 1, 1, tzinfo=UTC)) == ()


def test_query_that_does_not_parse_is_an_error_with_its_type(real: tuple[Prometheus, Path]) -> None:
    with pytest.raises(AnswerError, match="parse error") as caught:
        real[0].query("up{")

    assert (caught.value.code, caught.value.status) == ("bad_data", 400)


def test_runtime_tells_version_and_start(real: tuple[Prometheus, Path]) -> None:
    runtime = real[0].runtime()

    assert runtime.version[0].isdigit()
    assert runtime.reload_succeeded
    assert abs(datetime.now(UTC) - runtime.started_at) < timedelta(minutes=2)
    assert runtime.config_loaded_at is not None
    assert runtime.config_loaded_at >= runtime.started_at.replace(microsecond=0)
    assert runtime.working_dir == str(real[1])


def test_alertmanagers_that_alerts_are_sent_to(real: tuple[Prometheus, Path]) -> None:
    found = real[0].alertmanagers()

    assert (found.active, found.dropped) == (("http://127.0.0.1:1/api/v2/alerts",), ())


def test_an_expression_in_its_normal_form(real: tuple[Prometheus, Path]) -> None:
    """As the rules API writes it; one that does not parse is an error of the query."""
    assert real[0].normal_form("up{job='gone'}==0") == 'up{job="gone"} == 0'
    with pytest.raises(AnswerError) as caught:
        real[0].normal_form("up{")
    assert caught.value.code == "bad_data"


def test_a_prometheus_that_is_too_old_for_normal_forms(server: ScriptedServer) -> None:
    server.routes["GET /api/v1/format_query"] = Reply(404, b"404 page not found")

    assert scripted(server).normal_form("up==0") is None


def test_an_expression_that_fails_on_the_data_of_now(real: tuple[Prometheus, Path]) -> None:
    """It parses, so Prometheus loads a rule with it; the query API refuses it as the group's evaluation would."""
    with pytest.raises(AnswerError, match="many-to-many matching not allowed") as caught:
        real[0].query("up * on () up")
    assert caught.value.code == "execution"


def test_failed_reload_is_an_answer_and_stays_visible(real: tuple[Prometheus, Path]) -> None:
    """Ready stays 200 on a broken rules file: only the reload's own answer and metric tell."""
    client, folder = real
    assert client.last_reload_successful() is True

    (folder / "rules.yml").write_text("groups: [{name: broken, rules: [{record: x}]}]")
    refused = client.reload()
    assert (refused.status, client.ready().ready, client.last_reload_successful()) == (500, True, False)
    assert "reload" in refused.body
    assert client.runtime().reload_succeeded is False
    assert [group.name for group in client.rules()] == ["crm_events_alerts"]

    (folder / "rules.yml").write_text(RULES)
    assert client.reload().status == 200
    assert client.last_reload_successful() is True


def test_not_ready_is_an_answer(server: ScriptedServer) -> None:
    server.routes["GET /-/ready"] = Reply(503, b"Service Unavailable")

    assert scripted(server).ready() == Readiness(ready=False, status=503, saw="Service Unavailable")


def test_reload_without_lifecycle_is_an_answer(server: ScriptedServer) -> None:
    server.routes["POST /-/reload"] = Reply(403, b"Lifecycle API is not enabled.")

    assert scripted(server).reload() == ReloadAnswer(status=403, body="Lifecycle API is not enabled.")


def test_error_with_status_200_is_an_error(server: ScriptedServer) -> None:
    server.routes["GET /api/v1/query"] = Reply(200, {"status": "error", "errorType": "timeout", "error": "slow"})

    with pytest.raises(AnswerError, match="slow") as caught:
        scripted(server).query("up")

    assert (caught.value.status, caught.value.code) == (200, "timeout")


def test_page_of_a_proxy_is_an_error_that_quotes_it(server: ScriptedServer) -> None:
    server.routes["GET /api/v1/rules"] = Reply(502, b"<title>Bad Gateway</title>", "text/html")
    with pytest.raises(AnswerError, match="502: HTML page: Bad Gateway"):
        scripted(server).rules()

    server.routes["GET /api/v1/rules"] = Reply(200, b"hello")
    with pytest.raises(AnswerError, match="not with JSON: hello"):
        scripted(server).rules()


@pytest.mark.parametrize("data", [None, [], {"groups": [{"name": "g"}]}, {"groups": {}}])
def test_answer_of_another_shape_is_an_error(server: ScriptedServer, data: object) -> None:
    server.routes["GET /api/v1/rules"] = ok(data)

    with pytest.raises(AnswerError, match="unknown shape"):
        scripted(server).rules()


def test_rule_that_was_never_evaluated_has_no_time(server: ScriptedServer) -> None:
    """Right after a reload Prometheus says unknown, and the year 1."""
    rule = {
        "name": "A",
        "query": "up",
        "health": "unknown",
        "lastEvaluation": "0001-01-01T00:00:00Z",
        "type": "alerting",
    }
    group = {"name": "g", "file": "f", "interval": 30, "rules": [rule | {"alerts": []}]}
    server.routes["GET /api/v1/rules"] = ok({"groups": [group]})

    (found,) = scripted(server).rules()

    assert (found.rules[0].health, found.rules[0].last_evaluation) == ("unknown", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [("[", "cannot be read"), ("- a", "cannot be read"), ("global: {scrape_interval: soon}", "not a duration")],
)
def test_config_that_cannot_be_read_is_an_error(server: ScriptedServer, text: str, said: str) -> None:
    server.routes["GET /api/v1/status/config"] = ok({"yaml": text})

    with pytest.raises(AnswerError, match=said):
        scripted(server).config()


def test_config_without_anything_has_prometheus_defaults(server: ScriptedServer) -> None:
    server.routes["GET /api/v1/status/config"] = ok({"yaml": "{}"})

    config = scripted(server).config()

    assert (config.rule_files, config.jobs, config.has_alertmanagers, config.scrape_interval_s) == ((), (), False, 60)


def test_histograms_are_left_out_of_an_instant_query(server: ScriptedServer) -> None:
    items = [{"metric": {"a": "b"}, "histogram": [1, {}]}, {"metric": {}, "value": [1762196400.5, "NaN"]}]
    server.routes["GET /api/v1/query"] = ok({"resultType": "vector", "result": items})

    (sample,) = scripted(server).query("x")

    assert sample.value != sample.value
    assert sample.at == datetime(2025, 11, 3, 19, 0, 0, 500_000, tzinfo=UTC)


def test_reload_state_is_unknown_where_the_page_does_not_say(server: ScriptedServer) -> None:
    server.routes["GET /metrics"] = Reply(200, b"up 1\n")

    assert scripted(server).last_reload_successful() is None


def test_refused_names_the_setting(refused_url: str) -> None:
    with pytest.raises(UnreachableError, match="RUNBOOK_PROMETHEUS_URL"):
        Prometheus(PrometheusSettings(url=refused_url)).ready()
