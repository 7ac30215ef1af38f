"""Which file is meant: one order for every command, whoever names a file and however many do."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, cast

import pytest

from runbook.diagnosis.facts import Facts
from runbook.diagnosis.files import dashboard_file, rules_file, rules_mounted
from runbook.errors import UsageError
from runbook.files import file_discovery
from runbook.files.file_discovery import DASHBOARD, RULES, dashboard_path, found_files, mounted_rules, rules_path
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service
from runbook.wording import pasteable

OPTIONS: Final = ("option file", "option folder")
SETTINGS: Final = ("setting file", "setting folder")
MOUNTS: Final = ("mount",)
ORDER: Final = (*OPTIONS, *SETTINGS, *MOUNTS)


@dataclass(frozen=True)
class Engine:
    """An engine that mounts both files of a folder into their containers, or nothing."""

    folder: Path | None
    address: str = "localhost"

    def mounts(self, service: Service) -> tuple[Mount, ...]:
        if self.folder is None:
            return ()
        if service.name == "grafana":
            return (Mount(source=str(dashboard_of(self.folder)), destination=f"/dashboards/{DASHBOARD}"),)
        inside = "/etc/prometheus/crm-events-rules.yml"
        return (Mount(source=str(self.folder / RULES), destination=inside),)

    def described(self) -> str:
        return f"engine on {self.address}"

    def host(self) -> str:
        return self.address


@dataclass(frozen=True)
class Situation:
    """Who names a file: each of them another one."""

    root: Path
    named: tuple[str, ...]

    def folder(self, source: str) -> Path | None:
        return self.root / source if source in self.named else None

    @property
    def expected(self) -> Path | None:
        """The folder of the first that names a file."""
        return next((self.root / source for source in ORDER if source in self.named), None)

    @property
    def target(self) -> Target:
        tables: dict[str, str] = {}
        if file := self.folder("setting file"):
            tables |= {"dashboard": str(dashboard_of(file)), "rules": str(file / RULES)}
        if folder := self.folder("setting folder"):
            tables |= {"monitoring_dir": str(folder)}
        return Target.from_tables("live", {"files": tables}, source="test")

    @property
    def options(self) -> Mapping[str, Path | None]:
        file = self.folder("option file")
        return {
            "dashboard": dashboard_of(file) if file else None,
            "rules": file / RULES if file else None,
            "monitoring_dir": self.folder("option folder"),
        }

    @property
    def runtime(self) -> Runtime:
        return cast("Runtime", Engine(self.folder("mount")))


def dashboard_of(folder: Path) -> Path:
    return folder / "grafana/dashboards" / DASHBOARD


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Both files, once for everybody who may name them."""
    for source in ORDER:
        dashboard_of(tmp_path / source).parent.mkdir(parents=True)
        dashboard_of(tmp_path / source).write_text("{}")
        (tmp_path / source / RULES).write_text(f"# {source}")
    return tmp_path


def situations(root: Path, sources: tuple[str, ...]) -> list[Situation]:
    chosen = product((False, True), repeat=len(sources))
    return [
        Situation(root, tuple(source for source, is_named in zip(sources, names, strict=True) if is_named))
        for names in chosen
    ]


def wrong(root: Path) -> list[Situation]:
    """Return the situations in which a command means another file than the order says; none is right."""
    found: list[Situation] = []
    for one in situations(root, ORDER):
        if one.expected is None:
            continue
        files = found_files(one.target, one.runtime, **one.options)
        if (files.dashboard, files.rules) != (dashboard_of(one.expected), one.expected / RULES):
            found.append(one)
    for one in situations(root, (*SETTINGS, *MOUNTS)):
        if one.expected is None:
            continue
        facts = Facts(one.target, one.runtime, state_dir=root)
        asked = {
            pasteable(rules_path(one.target, one.runtime)),
            pasteable(found_files(one.target, one.runtime).rules),
            rules_file(facts).where,
        }
        shown = {pasteable(dashboard_path(one.target, one.runtime)), dashboard_file(facts).where}
        if (asked, shown) != ({pasteable(one.expected / RULES)}, {pasteable(dashboard_of(one.expected))}):
            found.append(one)
    return found


def test_every_command_means_the_same_file(root: Path) -> None:
    """Options, then settings, then mounts; a file before a folder; for setup and for every check that reads it."""
    assert wrong(root) == []


def test_another_order_would_be_seen(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is able to fail: a mount that goes before the settings is another file in half of the cases."""

    def mount_first(target: Target, runtime: Runtime) -> Path:
        return mounted_rules(target, runtime) or rules_path(target, runtime)

    monkeypatch.setattr("runbook.diagnosis.files.rules_path", mount_first)

    assert wrong(root) != []


def test_what_the_container_has_is_what_is_mounted(root: Path) -> None:
    """Whatever the settings name: they say which file setup changes."""
    one = Situation(root, ("setting file", "mount"))

    assert mounted_rules(one.target, one.runtime) == root / "mount" / RULES
    assert rules_mounted(Facts(one.target, one.runtime, state_dir=root)) is not None


@pytest.mark.parametrize("source", ["a file of this host", "no file of this host"])
def test_a_remote_engine_names_paths_of_its_own_host(root: Path, source: str) -> None:
    """A file of that path on this host would be another one, and must not be edited."""
    folder = root / "mount" if source == "a file of this host" else root / "nowhere"
    far = cast("Runtime", Engine(folder, address="db1.example"))
    target = Target.from_tables("live", {}, source="test")

    with pytest.raises(UsageError, match=r"path of db1\.example"):
        found_files(target, far)
    assert file_discovery.mounted_rules(target, cast("Runtime", Engine(None))) is None


def test_who_named_the_files_is_said(root: Path) -> None:
    by_setting, by_mount = Situation(root, ("setting folder",)), Situation(root, ("mount",))

    assert found_files(by_setting.target, by_setting.runtime).how == "named by options or settings"
    assert found_files(by_mount.target, by_mount.runtime).how == "found by the bind mounts, engine on localhost"


def test_files_that_nothing_names_are_an_error_with_a_way_out(root: Path) -> None:
    nobody = Situation(root, ())

    with pytest.raises(UsageError, match="is not set, and no bind mount") as caught:
        found_files(nobody.target, nobody.runtime)
    assert "--monitoring-dir DIR" in caught.value.fix
