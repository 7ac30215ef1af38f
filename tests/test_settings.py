"""Settings: which source wins, what a wrong one says, and that no secret is ever shown."""

import os
from pathlib import Path

import pytest

from runbook.errors import UsageError
from runbook.settings import Target, load_target, target_name

SECRET = "correct-horse"  # noqa: S105 - what must never be shown


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, and none of the variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("RUNBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toml(folder: Path, text: str) -> None:
    (folder / "runbook.toml").write_text(text, encoding="utf-8")


def stack(folder: Path, text: str) -> None:
    (folder / ".stack").mkdir()
    (folder / ".stack" / "target.toml").write_text(text, encoding="utf-8")


def test_without_any_source_the_addresses_are_the_runbooks() -> None:
    live = load_target()

    assert live.name == "live"
    assert live.runtime.kind == "docker"
    assert live.keycloak.url == "http://localhost:8180"
    assert live.gateway.host == "apexflow.aetherlink.local"
    assert live.kafka.bootstrap == "localhost:19092"
    assert live.sink.metrics_url == "http://localhost:9105/metrics"
    assert (live.prometheus.url, live.grafana.url) == ("http://localhost:9090", "http://localhost:3000")
    assert (live.keycloak.username, live.keycloak.password.get_secret_value()) == ("demo", "demo")


def test_the_file_goes_before_the_default(folder: Path) -> None:
    toml(folder, '[targets.live.grafana]\nurl = "http://dash"\n')

    assert load_target().grafana.url == "http://dash"
    assert load_target().prometheus.url == "http://localhost:9090"


def test_the_environment_goes_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(folder, '[targets.live.grafana]\nurl = "http://dash"\n')
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", "http://from-environment")

    assert load_target().grafana.url == "http://from-environment"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose sets what it does not know to an empty text; a dashboard of that name would be the folder itself."""
    for name in ("RUNBOOK_FILES_DASHBOARD", "RUNBOOK_GRAFANA_URL", "RUNBOOK_KEYCLOAK_PASSWORD_FILE", "RUNBOOK_TARGET"):
        monkeypatch.setenv(name, "")

    live = load_target()

    assert live.files.dashboard is None
    assert live.grafana.url == "http://localhost:3000"
    assert live.keycloak.password.get_secret_value() == "demo"


@pytest.mark.parametrize(
    ("group", "name"),
    [("keycloak", "password"), ("keycloak", "client_secret"), ("grafana", "password")],
)
def test_a_secret_by_file(folder: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str) -> None:
    """Without the newline that editors leave; it goes before runbook.toml, and the variable itself before it."""
    variable = f"RUNBOOK_{group}_{name}".upper()
    toml(folder, f'[targets.live.{group}]\n{name} = "from the file"\n')
    (folder / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv(f"{variable}_FILE", str(folder / "secret"))

    assert getattr(getattr(load_target(), group), name).get_secret_value() == SECRET

    monkeypatch.setenv(variable, "by variable")
    assert getattr(getattr(load_target(), group), name).get_secret_value() == "by variable"


def test_kafkas_further_settings_by_variable_and_by_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = '{"security.protocol": "SASL_SSL", "sasl.password": "correct-horse"}'
    expected = {"security.protocol": "SASL_SSL", "sasl.password": SECRET}
    (folder / "options.json").write_text(f"{written}\n", encoding="utf-8")

    monkeypatch.setenv("RUNBOOK_KAFKA_OPTIONS", written)
    assert load_target().kafka.options == expected

    monkeypatch.delenv("RUNBOOK_KAFKA_OPTIONS")
    monkeypatch.setenv("RUNBOOK_KAFKA_OPTIONS_FILE", str(folder / "options.json"))
    assert load_target().kafka.options == expected


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_PASSWORD", SECRET)
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("RUNBOOK_GRAFANA_PASSWORD", SECRET)
    monkeypatch.setenv("RUNBOOK_KAFKA_OPTIONS", '{"sasl.password": "correct-horse"}')

    live = load_target()

    assert SECRET not in repr(live)
    assert SECRET not in str(live.kafka)


@pytest.mark.parametrize(
    "options",
    ['{"sasl.password": "correct-horse"', '{"sasl.password": ["correct-horse"]}', '"correct-horse"', "correct-horse"],
)
def test_no_error_quotes_a_secret(monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    monkeypatch.setenv("RUNBOOK_KAFKA_OPTIONS", options)

    with pytest.raises(UsageError) as caught:
        load_target()

    assert SECRET not in str(caught.value)
    assert "RUNBOOK_KAFKA_OPTIONS" in caught.value.where
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_production_variables_do_not_leak_into_the_local_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exported for production must never send practice traffic there; its own variables have a prefix."""
    stack(folder, '[keycloak]\nurl = "http://127.0.0.1:1"\n[grafana]\nurl = "http://127.0.0.1:2"\n')
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_URL", "https://production")
    monkeypatch.setenv("RUNBOOK_KEYCLOAK_PASSWORD_FILE", str(folder / "production"))
    monkeypatch.setenv("RUNBOOK_LOCAL_GRAFANA_URL", "http://127.0.0.1:3")
    toml(folder, '[targets.local.keycloak]\nurl = "https://production"\n')

    local = load_target("local")

    assert local.keycloak.url == "http://127.0.0.1:1"
    assert local.keycloak.password.get_secret_value() == "demo"
    assert local.grafana.url == "http://127.0.0.1:3"


def test_which_target_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target_name() == "live"
    monkeypatch.setenv("RUNBOOK_TARGET", "staging")
    assert target_name() == "staging"
    assert target_name("local") == "local"


def test_a_target_of_the_file(folder: Path) -> None:
    toml(folder, '[targets.staging.kafka]\nbootstrap = "staging:9092"\n')

    assert load_target("staging").kafka.bootstrap == "staging:9092"
    assert load_target().kafka.bootstrap == "localhost:19092"


@pytest.mark.parametrize(
    ("text", "target", "seen", "where"),
    [
        ("", "staging", "no target 'staging'", "known targets: docker, live, local"),
        ("", "local", "not up", "target.toml"),
        ("[targets.live", "live", "cannot be read", "runbook.toml"),
        ("[target.live]", "live", "'target' is not known", "runbook.toml"),
        ("targets = 1", "live", "'targets' is int", "runbook.toml"),
        ("[targets]\nlive = 1", "live", "'live' is int", "runbook.toml"),
        ("[targets.live.grafanna]", "live", "'grafanna' is not a group", "[targets.live]"),
        ("[targets.live]\ngrafana = 3", "live", "'grafana' is int", "[targets.live]"),
        ("[targets.live.grafana]\nurl = 3000", "live", "url:", "[targets.live], url"),
        ("[targets.live.grafana]\nurll = 'x'", "live", "urll:", "[targets.live], urll"),
        ("[targets.live.runtime]\nkind = 'podman'", "live", "'docker' or 'processes'", "[targets.live], kind"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_way_out(
    folder: Path, text: str, target: str, seen: str, where: str
) -> None:
    toml(folder, text)

    with pytest.raises(UsageError) as caught:
        load_target(target)

    assert seen in caught.value.seen
    assert where in caught.value.where
    assert caught.value.fix
    assert caught.value.exit_code == 4


def test_a_wrong_variable_is_named_as_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_RUNTIME_KIND", "podman")

    with pytest.raises(UsageError) as caught:
        load_target()

    assert caught.value.where == "environment variable RUNBOOK_RUNTIME_KIND"


def test_a_wrong_file_of_a_variable_is_named_as_the_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "options.json").write_text("correct-horse", encoding="utf-8")
    monkeypatch.setenv("RUNBOOK_KAFKA_OPTIONS_FILE", str(folder / "options.json"))

    with pytest.raises(UsageError) as caught:
        load_target()

    assert caught.value.where == "environment variable RUNBOOK_KAFKA_OPTIONS_FILE"
    assert SECRET not in str(caught.value)


def test_an_unreadable_file_is_no_missing_file(folder: Path) -> None:
    """Defaults instead of a file that cannot be read would be another installation."""
    (folder / "runbook.toml").mkdir()

    with pytest.raises(UsageError, match="cannot be read"):
        load_target()


def test_a_secret_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_GRAFANA_PASSWORD_FILE", "/nonexistent/secret")

    with pytest.raises(UsageError) as caught:
        load_target()

    assert caught.value.where == "RUNBOOK_GRAFANA_PASSWORD_FILE"


def test_every_setting_says_what_it_means() -> None:
    groups = [value for name, value in vars_of(Target.from_tables("x", {}, source="test")) if name != "name"]
    undescribed = [
        f"{type(group).__name__}.{name}"
        for group in groups
        for name, info in type(group).model_fields.items()
        if not info.description
    ]
    assert undescribed == []


def vars_of(target: Target) -> list[tuple[str, object]]:
    return [(name, getattr(target, name)) for name in target.__slots__]
