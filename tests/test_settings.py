"""Settings: which source wins, what a wrong one says, and that no secret is ever shown."""

import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from runbook.errors import UsageError
from runbook.settings import Target, load_target, setting_groups, target_name, unknown_variables
from runbook.systems.grafana.settings import GrafanaSettings
from runbook.systems.runtime import Service
from runbook.systems.settings_group import ServiceGroup

CHECKOUT = Path(__file__).resolve().parents[1]
CERTIFICATES = {"ca_file", "client_cert", "client_key"}  # files that are read with the settings
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
    expected = {"security.protocol": SecretStr("SASL_SSL"), "sasl.password": SecretStr(SECRET)}
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
        ("", "locl", "did you mean local?", "known targets: docker, live, local"),
        ("", "local", "not up", "target.toml"),
        ("[targets.live", "live", "cannot be read", "runbook.toml"),
        ("[target.live]", "live", "'target' is not known; did you mean targets?", "runbook.toml"),
        ("targets = 1", "live", "'targets' must be a table", "runbook.toml"),
        ("[targets]\nlive = 1", "live", "'live' must be a table", "runbook.toml"),
        (
            "[targets.live.grafanna]",
            "live",
            "'grafanna' is not a group of settings; did you mean grafana?",
            "[targets.live.grafanna] in ",
        ),
        ("[targets.live]\ngrafana = 3", "live", "'grafana' must be a table", "[targets.live.grafana] in "),
        (
            "[targets.live.grafana]\nurl = 3000",
            "live",
            "url must be text, not a whole number",
            "[targets.live.grafana] url in ",
        ),
        (
            "[targets.live.grafana]\nurll = 'x'",
            "live",
            "'urll' is not a setting of grafana; did you mean url?",
            "[targets.live.grafana] urll in ",
        ),
        (
            "[targets.live.runtime]\nkind = 'podman'",
            "live",
            "kind must be 'docker' or 'processes'",
            "[targets.live.runtime] kind in ",
        ),
        (
            "[targets.live.files]\nrules = 3",
            "live",
            "rules must be a path, not a whole number",
            "[targets.live.files] rules in ",
        ),
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


def test_a_setting_that_has_moved_is_accepted_by_its_old_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ApexFlow's names stood in the gateway's group; its present names go first, and a variable before the file."""
    toml(folder, '[targets.live.gateway]\napexflow_service = "old"\napexflow_container = "old-1"\n')
    assert (load_target().apexflow.service, load_target().apexflow.container) == ("old", "old-1")

    monkeypatch.setenv("RUNBOOK_GATEWAY_APEXFLOW_SERVICE", "variable")
    assert load_target().apexflow.service == "variable"
    assert unknown_variables() == ()

    monkeypatch.setenv("RUNBOOK_APEXFLOW_SERVICE", "present")
    assert load_target().apexflow.service == "present"

    with (folder / "runbook.toml").open("a") as file:
        file.write('[targets.live.apexflow]\ncontainer = "new-1"\n')
    assert load_target().apexflow.container == "new-1"


def test_each_system_of_the_runtime_is_named_for_it() -> None:
    """Every group that names a service answers as one, and ApexFlow's database is one more."""
    live = load_target()
    groups = [group for _, group in vars_of(live) if isinstance(group, ServiceGroup)]

    assert {group.as_service.name for group in groups} == {
        *("alertmanager", "apexflow", "crm-events-sink", "gateway", "grafana", "kafka", "keycloak", "prometheus")
    }
    assert live.apexflow.database == Service(
        name="apexflow-db", container="aether-apexflow-db", setting="RUNBOOK_APEXFLOW_DATABASE_CONTAINER"
    )


def test_every_setting_says_what_it_means() -> None:
    groups = [value for name, value in vars_of(Target.from_tables("x", {}, source="test")) if name != "name"]
    undescribed = [
        f"{type(group).__name__}.{name}"
        for group in groups
        if isinstance(group, BaseModel)
        for name, info in type(group).model_fields.items()
        if not info.description
    ]
    assert undescribed == []


@pytest.mark.parametrize(
    ("variable", "value", "seen", "fix"),
    [
        ("RUNBOOK_RUNTIME_KIND", "podman", "kind must be 'docker' or 'processes'", "RUNBOOK_RUNTIME_KIND=docker"),
        ("RUNBOOK_KAFKA_OPTIONS", "{", "options is not JSON", 'RUNBOOK_KAFKA_OPTIONS=\'{"socket.keepalive.enable":'),
        ("RUNBOOK_KAFKA_OPTIONS", "[1]", "options must be a table of names and texts, not a list", "OPTIONS='{"),
        ("RUNBOOK_KAFKA_OPTIONS", '{"a": 1}', "options must be a table of names and texts", "OPTIONS='{"),
        ("RUNBOOK_GRAFANA_URL", "http://h/?x=1", "url has a query", "RUNBOOK_GRAFANA_URL=http://localhost:3000"),
    ],
)
def test_a_wrong_value_is_told_what_form_is_right_with_an_example(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, seen: str, fix: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(UsageError) as caught:
        load_target()

    assert seen in caught.value.seen
    assert f"write it like this: {variable}=" in caught.value.fix
    assert fix in caught.value.fix
    assert caught.value.where == f"environment variable {variable}"


def test_every_example_in_a_fix_is_a_right_value(folder: Path) -> None:
    """For each setting: a wrong type in the file, then the line that the fix shows in its place."""
    for group, kind in setting_groups().items():
        for setting in kind.model_fields:
            toml(folder, f"[targets.live.{group}]\n{setting} = [1]\n")
            with pytest.raises(UsageError, match=f"{setting} must be") as caught:
                load_target()
            line = caught.value.fix.removeprefix("write it like this: ").partition(" (")[0]
            assert line.startswith(f"{setting} = ")
            toml(folder, f"[targets.live.{group}]\n{line}\n")
            is_absent = setting in CERTIFICATES and group != "kafka"  # librdkafka reads those of Kafka
            with pytest.raises(UsageError, match=r"No such file|without client_cert") if is_absent else nullcontext():
                load_target()


def test_user_and_password_of_an_address_become_settings_of_their_own(folder: Path) -> None:
    """No address that anybody can print holds a secret; percent signs are undone."""
    toml(
        folder,
        """
        [targets.live.prometheus]
        url = "https://ops:correct%2Dhorse@prometheus:9090/prefix"
        [targets.live.alertmanager]
        url = "http://ops:correct-horse@alertmanager:9093"
        [targets.live.grafana]
        url = "http://viewer:correct-horse@dash"
        [targets.live.keycloak]
        url = "http://ops:correct-horse@issuer/auth"
        [targets.live.sink]
        metrics_url = "http://ops:correct-horse@sink:9105/metrics?token=correct-horse"
        http_url = "http://:correct-horse@sink:9106"
        """,
    )

    live = load_target()

    assert (live.prometheus.url, live.prometheus.login()) == ("https://prometheus:9090/prefix", ("ops", SECRET))
    assert (live.alertmanager.url, live.alertmanager.login()) == ("http://alertmanager:9093", ("ops", SECRET))
    assert (live.grafana.url, live.grafana.login()) == ("http://dash", ("viewer", SECRET))
    assert (live.keycloak.url, live.keycloak.login("proxy_")) == ("http://issuer/auth", ("ops", SECRET))
    assert live.keycloak.login() == ("demo", "demo")
    assert (live.sink.metrics_url, live.sink.login("metrics_")) == ("http://sink:9105/metrics", ("ops", SECRET))
    assert live.sink.metrics_query == SecretStr("token=correct-horse")
    assert (live.sink.http_url, live.sink.login("http_")) == ("http://sink:9106", ("", SECRET))
    assert SECRET not in repr(live)


def test_a_password_of_its_own_goes_before_the_one_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", "http://viewer:in-the-address@dash")
    monkeypatch.setenv("RUNBOOK_GRAFANA_PASSWORD", SECRET)

    assert load_target().grafana.login() == ("viewer", SECRET)


def test_an_address_without_a_login_has_none() -> None:
    assert (load_target().prometheus.login(), load_target().sink.login("metrics_")) == (None, None)


@pytest.mark.parametrize(
    ("variable", "value", "seen"),
    [
        ("RUNBOOK_GATEWAY_URL", "http://u:correct-horse@gateway", "a request carries the token only"),
        ("RUNBOOK_GATEWAY_URL", "http://gateway?key=correct-horse", "a request carries the token only"),
        ("RUNBOOK_KAFKA_BOOTSTRAP", "SASL_SSL://u:correct-horse@kafka:9092", "as username and password"),
        ("RUNBOOK_RUNTIME_DOCKER_HOST", "tcp://u:correct-horse@engine:2375", "Docker does not take"),
        ("RUNBOOK_RUNTIME_DOCKER_HOST", "ssh://u:correct/horse@engine", "Docker does not take"),
        ("RUNBOOK_RUNTIME_DOCKER_HOST", "correct-horse@engine:2375", "Docker does not take"),
        ("RUNBOOK_GRAFANA_URL", "http://u:correct/horse@dash", "write %2F for /"),
        ("RUNBOOK_GRAFANA_URL", "http://u:correct?horse@dash", "write %2F for /"),
        ("RUNBOOK_GRAFANA_URL", "http://u:correct#horse@dash", "write %2F for /"),
        ("RUNBOOK_GRAFANA_URL", "u:correct://horse@dash", "write %2F for /"),
        ("RUNBOOK_PROMETHEUS_URL", "http://prometheus/?token=correct-horse", "has a query"),
    ],
)
def test_an_address_whose_secret_cannot_be_moved_is_refused_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, seen: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(UsageError) as caught:
        load_target()

    assert seen in caught.value.seen
    assert caught.value.where == f"environment variable {variable}"
    assert not {"correct", "horse"} & set(re.findall(r"\w+", str(caught.value)))


@pytest.mark.parametrize(
    "address",
    [
        "ssh://ops@engine",
        pytest.param("unix:///run/user@1000/docker.sock", marks=pytest.mark.posix("Unix sockets")),
        "tcp://engine:2375",
    ],
)
def test_the_address_of_an_engine_may_name_a_user_of_ssh(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("RUNBOOK_RUNTIME_DOCKER_HOST", address)

    assert load_target().runtime.docker_host == address


def test_an_address_without_http_keeps_no_secret_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when it is asked; until then it can be shown."""
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", "u:correct-horse@dash:3000")

    assert load_target().grafana.url == "dash:3000"


def test_unknown_variables_are_named_with_the_nearest_setting() -> None:
    environment = {
        "RUNBOOK_GRAFANA_PASWORD": SECRET,
        "RUNBOOK_GRAFANA_URL_FILE": "/run/url",
        "RUNBOOK_LOCAL_GRAFANNA_URL": "http://x",
        "RUNBOOK_TARGETT": "staging",
        "RUNBOOK_ZZZZZZZZZZ": "1",
        "PATH": "/bin",
    }

    unknown = unknown_variables(environment)

    assert [(one.name, one.nearest) for one in unknown] == [
        ("RUNBOOK_GRAFANA_PASWORD", "RUNBOOK_GRAFANA_PASSWORD"),
        ("RUNBOOK_GRAFANA_URL_FILE", "RUNBOOK_GRAFANA_URL"),
        ("RUNBOOK_LOCAL_GRAFANNA_URL", "RUNBOOK_LOCAL_GRAFANA_URL"),
        ("RUNBOOK_TARGETT", "RUNBOOK_TARGET"),
        ("RUNBOOK_ZZZZZZZZZZ", ""),
    ]
    assert unknown[0].warning == (
        "RUNBOOK_GRAFANA_PASWORD is not a setting and has no effect; did you mean RUNBOOK_GRAFANA_PASSWORD?"
    )
    assert not any(SECRET in one.warning for one in unknown)


def test_every_documented_variable_is_known() -> None:
    """Those of docs/SETTINGS.md, of the targets that stack.up writes, and files for the secrets."""
    documented = re.findall(r"`(RUNBOOK_\w+)` \|", (CHECKOUT / "docs" / "SETTINGS.md").read_text(encoding="utf-8"))
    others = [
        "RUNBOOK_TARGET",
        "RUNBOOK_DOCKER_GRAFANA_URL",
        "RUNBOOK_LOCAL_KEYCLOAK_PASSWORD_FILE",
        "runbook_sink_http_url",
    ]

    assert len(documented) > 40
    assert unknown_variables(dict.fromkeys([*documented, *others], "x")) == ()


def test_a_variable_in_lower_case_counts_and_loses_against_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("runbook_grafana_url", "http://lower")
    assert load_target().grafana.url == "http://lower"
    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", "http://upper")
    assert load_target().grafana.url == "http://upper"


def test_a_group_that_is_made_directly_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "RUNBOOK_GRAFANA_URL", "GRAFANA_URL"):
        monkeypatch.setenv(name, "http://elsewhere")

    assert GrafanaSettings().url == "http://localhost:3000"


def test_fixes_name_the_variables_of_their_target(folder: Path) -> None:
    """What is exported for production does not reach the local stack, so a fix there names the other variable."""
    stack(folder, "")

    assert load_target().grafana.as_service.setting == "RUNBOOK_GRAFANA_CONTAINER"
    assert load_target("local").grafana.as_service.setting == "RUNBOOK_LOCAL_GRAFANA_CONTAINER"
    assert load_target().sink.as_service == Service(
        name="crm-events-sink", container="aether-crm-events-sink", setting="RUNBOOK_SINK_CONTAINER"
    )
    assert GrafanaSettings().variable("url") == "RUNBOOK_GRAFANA_URL"


def vars_of(target: Target) -> list[tuple[str, object]]:
    return [(name, getattr(target, name)) for name in target.__slots__]
