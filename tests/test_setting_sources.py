"""Where settings come from: fixes and errors name the true place, and secrets stand in files of their own."""

import os
import re
from pathlib import Path

import pytest

from runbook.commands.setting_warnings import setting_warnings
from runbook.diagnosis.facts import SettingPlaces
from runbook.errors import RunbookError, UsageError
from runbook.settings import Target, load_target, setting_groups
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.settings_group import is_secret

CHECKOUT = Path(__file__).resolve().parents[1]
SECRET = "correct-horse"  # noqa: S105 - what must never be shown
SECRETS = [(group, name) for group, kind in setting_groups().items() for name, info in kind.model_fields.items()
           if is_secret(info) and name != "options"]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, and none of the variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.upper().startswith("RUNBOOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def toml(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "runbook.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_fix_names_the_line_of_the_file_that_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the variable, which is the shortest way to set it; a variable goes before the file."""
    assert load_target().grafana.place_of("url") == "RUNBOOK_GRAFANA_URL"

    path = toml(folder, '# ours\n[targets.live.grafana]  # the one of the shop\nusername = "x"\n"url" = "http://a"\n')
    assert load_target().grafana.place_of("url") == f"[targets.live.grafana] url in {path}:4"
    assert load_target().grafana.place_of("container") == "RUNBOOK_GRAFANA_CONTAINER"

    monkeypatch.setenv("RUNBOOK_GRAFANA_URL", "http://b")
    assert load_target().grafana.place_of("url") == "RUNBOOK_GRAFANA_URL"


def test_a_table_in_another_form_has_a_place_without_a_line(folder: Path) -> None:
    path = toml(folder, 'targets.live.grafana = { url = "http://a" }\n')

    assert load_target().grafana.place_of("url") == f"[targets.live.grafana] url in {path}"


def test_what_stack_up_has_written_is_set_by_a_variable(folder: Path) -> None:
    """Nobody is sent to edit a file that a command writes again."""
    (folder / ".stack").mkdir()
    (folder / ".stack" / "target.toml").write_text('[grafana]\nurl = "http://a"\n', encoding="utf-8")

    assert load_target("local").grafana.place_of("url") == "RUNBOOK_LOCAL_GRAFANA_URL"


def test_a_setting_under_its_old_name_is_named_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(folder, '[targets.live.gateway]\napexflow_service = "flow"\n')
    assert load_target().apexflow.place_of("service") == f"[targets.live.gateway] apexflow_service in {path}:2"

    monkeypatch.setenv("RUNBOOK_GATEWAY_APEXFLOW_SERVICE", "flow")
    assert load_target().apexflow.place_of("service") == "RUNBOOK_GATEWAY_APEXFLOW_SERVICE"


@pytest.mark.outside
def test_the_error_of_a_client_sends_to_the_file(folder: Path) -> None:
    """The port is closed: what has to be corrected is the line, and no variable that is not set."""
    path = toml(folder, '[targets.live.prometheus]\nurl = "http://127.0.0.1:1"\n')

    with pytest.raises(RunbookError) as caught:
        Prometheus(load_target().prometheus, timeout_s=2).rules()

    assert f"[targets.live.prometheus] url in {path}:2" in caught.value.fix
    assert "RUNBOOK_" not in caught.value.fix


def test_no_client_and_no_check_names_a_variable_by_itself() -> None:
    """Only the settings know whether a variable or the file decides."""
    own = {"runbook/systems/settings_group.py"}
    named = [
        path.relative_to(CHECKOUT).as_posix()
        for room in ("commands", "diagnosis", "files", "systems")
        for path in (CHECKOUT / "runbook" / room).rglob("*.py")
        if re.search(r"\.variable\(|\{prefix\}", path.read_text(encoding="utf-8"))
    ]

    assert set(named) - own == set()


def test_a_check_names_the_place_of_its_setting(folder: Path) -> None:
    path = toml(folder, '[targets.live.gateway]\nhost = "x"\n[targets.live.grafana]\npassword = "x"\n')

    places = SettingPlaces(load_target())

    assert f"{places:gateway.host}" == f"[targets.live.gateway] host in {path}:2"
    assert f"{places:grafana.password_file}" == f"[targets.live.grafana] password in {path}:4"
    assert f"{places:keycloak.password_file}" == "RUNBOOK_KEYCLOAK_PASSWORD_FILE"


def test_a_wrong_value_is_named_with_its_line(folder: Path) -> None:
    path = toml(folder, "[targets.live.runs]\nkeep_days = 1\nkeep = 0\n")

    with pytest.raises(UsageError) as caught:
        load_target()

    assert caught.value.where == f"[targets.live.runs] keep in {path}:3"


def test_a_wrong_value_of_a_variable_in_lower_case_is_named_as_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("runbook_runs_keep", "many")

    with pytest.raises(UsageError) as caught:
        load_target()

    assert caught.value.where == "environment variable RUNBOOK_RUNS_KEEP"


@pytest.mark.parametrize(("group", "name"), SECRETS)
def test_every_secret_can_stand_in_a_file_that_runbook_toml_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str
) -> None:
    """Relative to the folder of runbook.toml, wherever the command is called from; a variable goes before it."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / "one").write_text(f"{SECRET}\n", encoding="utf-8")
    (folder / "secrets" / "one").chmod(0o600)
    path = toml(folder, f'[targets.live.{group}]\n{name}_file = "secrets/one"\n')
    monkeypatch.chdir("/")

    target = load_target(directory=folder)
    loaded = getattr(target, group)

    assert getattr(loaded, name).get_secret_value() == SECRET
    assert loaded.place_of(name) == f"[targets.live.{group}] {name}_file in {path}:2"
    assert str(loaded.source(name)) == f"{loaded.place_of(name)}, which names {folder / 'secrets/one'}"
    assert setting_warnings(target) == ()
    monkeypatch.setenv(loaded.variable(name), "by-variable")
    assert getattr(getattr(load_target(directory=folder), group), name).get_secret_value() == "by-variable"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ('password_file = "nowhere"', "secret file cannot be read"),
        ("password_file = 3", "must be text"),
        ('password_file = "."', "secret file cannot be read"),
        ('password_file = "one"\npassword = "x"', "given twice"),
        ('password = "x"\npassword_file = "one"', "given twice"),
    ],
)
def test_a_secret_file_that_does_not_do_is_named_with_its_key(folder: Path, line: str, seen: str) -> None:
    (folder / "one").write_text(SECRET, encoding="utf-8")
    toml(folder, f"[targets.live.grafana]\n{line}\n")

    with pytest.raises(UsageError) as caught:
        load_target()

    assert seen in caught.value.seen
    assert caught.value.where.startswith("[targets.live.grafana] password")
    assert SECRET not in str(caught.value)


def test_a_setting_that_is_no_secret_has_no_file(folder: Path) -> None:
    toml(folder, '[targets.live.grafana]\nurl_file = "one"\n')

    with pytest.raises(UsageError, match="'url_file' is not a setting of grafana"):
        load_target()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[targets.live.grafana]\npassword = "correct-horse"\n', "[targets.live.grafana] password in "),
        ('[targets.live.grafana]\nurl = "http://u:correct-horse@h"\n', "[targets.live.grafana] url in "),
        ('[targets.live.sink]\nmetrics_url = "http://h/?t=correct-horse"\n', "[targets.live.sink] metrics_url in "),
        (
            '[targets.live.kafka]\noptions = { "sasl.password" = "correct-horse" }\n',
            "[targets.live.kafka] options in ",
        ),
    ],
)
def test_a_secret_in_the_file_is_warned_about_once_by_its_key(folder: Path, text: str, key: str) -> None:
    toml(folder, text)

    (warning,) = setting_warnings(load_target())

    assert warning.startswith(key)
    assert "_file" in warning
    assert SECRET not in warning


@pytest.mark.posix("rights")
def test_a_file_with_a_secret_that_others_may_read_is_said(folder: Path) -> None:
    path = toml(folder, '[targets.live.grafana]\npassword = "x"\n', mode=0o640)
    assert setting_warnings(load_target())[1:] == (
        f"{path} holds a secret, and others may read it (mode 0640): chmod 600 {path}",
    )

    (folder / "one").write_text(SECRET, encoding="utf-8")
    (folder / "one").chmod(0o644)
    toml(folder, '[targets.live.grafana]\npassword_file = "one"\n', mode=0o644)
    assert setting_warnings(load_target()) == (
        f"{folder / 'one'} holds a secret, and others may read it (mode 0644): chmod 600 {folder / 'one'}",
    )


def test_a_file_without_a_secret_is_nobodys_concern(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither defaults nor variables nor the settings of a local stack are warned about."""
    options = 'options = { "security.protocol" = "SSL" }'
    toml(folder, f'[targets.live.grafana]\nurl = "http://h"\n[targets.live.kafka]\n{options}\n', mode=0o644)
    monkeypatch.setenv("RUNBOOK_GRAFANA_PASSWORD", SECRET)
    assert setting_warnings(load_target()) == ()

    stack = Target.from_tables("local", {"grafana": {"password": "x"}}, source="target.toml")
    assert setting_warnings(stack) == ()
