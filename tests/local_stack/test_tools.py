"""Prometheus and Alertmanager come from where the operator says, from PATH, or from the distribution, once."""

import multiprocessing
import sys
from pathlib import Path

import pytest

from runbook.errors import RunbookError, UsageError
from runbook.local_stack.tools import cache_folder, found_tools

# Plays apt-get and dpkg-deb: `download` makes two packages, `-x` unpacks one program from each. Calls are noted.
PACKAGE_TOOL = f"""#!{sys.executable}
import os, pathlib, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(" ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
if os.environ.get("BROKEN"):
    sys.exit("E: Unable to locate package prometheus")
if "download" in sys.argv:
    for name in ("prometheus", "prometheus-alertmanager"):
        pathlib.Path(name + "_1_amd64.deb").touch()
if "-x" in sys.argv:
    package, root = sys.argv[2:]
    program = pathlib.Path(root, "usr/bin", pathlib.Path(package).name.split("_")[0])
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_bytes(b"reads /usr/share/prometheus/alertmanager\\n")
    program.chmod(0o755)
"""


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and an empty PATH; return the folder that is on PATH."""
    for variable in ("PROMETHEUS", "ALERTMANAGER", "PROMTOOL", "AMTOOL", "BROKEN"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return folder


@pytest.fixture
def distribution(nothing_installed: Path) -> None:
    """A machine with apt-get and dpkg-deb."""
    for name in ("apt-get", "dpkg-deb"):
        _program(nothing_installed / name, PACKAGE_TOOL)


def _program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_named_programs_win(nothing_installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PROMETHEUS and ALERTMANAGER go before PATH; what is optional may be missing."""
    _program(nothing_installed / "prometheus")
    monkeypatch.setenv("PROMETHEUS", str(_program(tmp_path / "my-prometheus")))
    monkeypatch.setenv("ALERTMANAGER", str(_program(tmp_path / "my-alertmanager")))

    tools = found_tools(print)

    assert (tools.prometheus, tools.alertmanager) == (tmp_path / "my-prometheus", tmp_path / "my-alertmanager")
    assert (tools.promtool, tools.amtool) == (None, None)


def test_programs_on_path(nothing_installed: Path) -> None:
    """Debian's name for Alertmanager is known too."""
    for name in ("prometheus", "prometheus-alertmanager", "promtool", "amtool"):
        _program(nothing_installed / name)

    tools = found_tools(print)

    assert tools.alertmanager == nothing_installed / "prometheus-alertmanager"
    assert (tools.promtool, tools.amtool) == (nothing_installed / "promtool", nothing_installed / "amtool")


def test_a_named_program_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, and nothing else is taken instead."""
    monkeypatch.setenv("PROMETHEUS", str(tmp_path))

    with pytest.raises(UsageError) as caught:
        found_tools(print)

    assert caught.value.where == "environment variable PROMETHEUS"


def test_no_way_to_get_them() -> None:
    """Without apt-get the operator reads what to install, and which variables to set."""
    with pytest.raises(RunbookError, match=r"install prometheus prometheus-alertmanager .*, or set PROMETHEUS"):
        found_tools(print)


@pytest.mark.usefixtures("distribution")
def test_packages_are_fetched_once(tmp_path: Path) -> None:
    """The first run says that it fetches; the second finds the programs and runs nothing."""
    said: list[str] = []

    first = found_tools(said.append)
    calls = (tmp_path / "calls").read_text()
    second = found_tools(said.append)

    assert first == second
    assert first.prometheus == cache_folder() / "usr/bin/prometheus"
    assert len(said) == 1
    assert str(cache_folder().parent) in said[0]
    assert (tmp_path / "calls").read_text() == calls
    assert [path.name for path in cache_folder().parent.iterdir() if path.is_dir()] == [cache_folder().name]


@pytest.mark.usefixtures("distribution")
def test_apt_works_in_folders_of_its_own(tmp_path: Path) -> None:
    """No root is needed, and an empty /var/lib/apt/lists does no harm: state and cache are in our own cache."""
    found_tools(print)

    update = (tmp_path / "calls").read_text().splitlines()[0]
    assert f"Dir::State={cache_folder().parent}" in update
    assert f"Dir::Cache={cache_folder().parent}" in update
    assert update.endswith(" update")


@pytest.mark.usefixtures("distribution")
def test_programs_find_their_templates_where_they_were_unpacked() -> None:
    """Debian's Alertmanager does not start without its templates: their path is made relative to `home`."""
    tools = found_tools(print)

    text = tools.alertmanager.read_bytes()
    assert text == b"reads usr/share/prometheus//alertmanager\n"
    assert len(text) == len(b"reads /usr/share/prometheus/alertmanager\n")
    assert tools.home == cache_folder()


@pytest.mark.usefixtures("distribution")
def test_a_fetch_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error quotes apt-get, and no half of a cache stays behind."""
    monkeypatch.setenv("BROKEN", "1")

    with pytest.raises(RunbookError, match="Unable to locate package"):
        found_tools(print)

    assert not cache_folder().exists()
    monkeypatch.delenv("BROKEN")
    assert found_tools(print).prometheus.exists()


@pytest.mark.usefixtures("distribution")
def test_two_at_once(tmp_path: Path) -> None:
    """Two first runs at the same time share one fetch, and both get the programs."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.starmap(found_tools, [(str,), (str,)])

    assert first == second
    assert first.alertmanager.exists()
    assert (tmp_path / "calls").read_text().count(" update\n") == 1
