"""The command line: its help, and what it says of a wrong argument or a misspelt variable."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sink.command_line import parsed
from sink.settings import load_settings
from sink.variables import KAFKA_ANY, VARIABLES
from tests.sink.mock_kafka import MockKafka
from tests.sink.sink_process import CHECKOUT, LEADS, SinkProcess, wait_until

HELP = [sys.executable, "-m", "sink", "--help"]


class RecordingEnvironment(dict[str, str]):
    """An environment that notes which names are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the one it stands for
        self.names.add(name)
        return super().get(name, default)


def test_help_has_every_variable_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, meaning and default of each variable, in lines of at most 80 characters."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        parsed(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for variable in VARIABLES:
        default = f" (default: {variable.default})" if variable.default else ""
        assert f"{variable.name} {variable.meaning}{default}" in words


def test_declared_are_those_that_are_read() -> None:
    """The help and docs/SINK.md list the declared variables: the sink reads no other one, and each of them."""
    env = RecordingEnvironment()
    load_settings(env)
    secret_files = {f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret}
    assert env.names == {variable.name for variable in VARIABLES if variable is not KAFKA_ANY} | secret_files


def test_help_starts_nothing(tmp_path: Path) -> None:
    """`python -m sink --help` prints the help and ends with 0; it reads no variable and creates no journal."""
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PROM_PORT": "wrong"}
    done = subprocess.run(HELP, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: crm-events-sink [-h] [COMMAND ...]\n")
    assert list(tmp_path.iterdir()) == []


def test_help_into_a_closed_pipe() -> None:
    """As with `| head`: no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(HELP, cwd=CHECKOUT, env=env, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "seen", "fix"),
    [
        (["jurnal", "show"], "unknown argument 'jurnal'", "crm-events-sink journal or crm-events-sink --help"),
        (["journal", "verfy"], "unknown argument 'verfy'", "crm-events-sink journal verify or "),
        (["export"], "unknown argument 'export'", "crm-events-sink journal export or "),
        (["--prom-port", "9105"], "unknown argument '--prom-port'", "the variable PROM_PORT or "),
        (["journal", "export", "--leed=5"], "unknown argument '--leed'", "crm-events-sink journal export --lead or "),
        (["journal", "show", "--metrics", "x"], "unknown argument '--metrics'", "crm-events-sink journal verify --met"),
        (
            ["journal", "export", "--format", "json"],
            "argument --format: invalid choice: 'json'",
            "crm-events-sink jour",
        ),
        (["journal"], "the following arguments are required: COMMAND", "crm-events-sink journal --help"),
        (["xyz"], "unknown argument 'xyz'", "crm-events-sink --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_argument(capsys: pytest.CaptureFixture[str], arguments: list[str], seen: str, fix: str) -> None:
    """What was seen, in which command, and the nearest commands; exit code 4."""
    with pytest.raises(SystemExit) as ended:
        parsed(arguments)
    assert ended.value.code == 4
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith(f"crm-events-sink: {seen}")
    assert second == f"in the command: crm-events-sink {' '.join(arguments)}"
    assert third.startswith(f"Fix: {fix}")


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [
        ("SINK_JOURNAL_EVENT", "rows", "did you mean SINK_JOURNAL_EVENTS?"),
        ("SINK_DLQ_TOPICS", "x", "did you mean SINK_DLQ_TOPIC?"),
        ("SINK_API_TOKEN_FIL", "/x", "did you mean SINK_API_TOKEN_FILE?"),
        ("SINK_PORT", "9105", "did you mean PROM_PORT?"),
        ("SINK_XXXXXXXXXXX", "1", "crm-events-sink --help lists those it reads"),
        ("SINK_JOURNAL_FILE", "", ""),
        ("SINK_JOURNAL_EVENT", "", ""),
        ("SINK_SERVICE_HOST", "10.0.0.1", ""),
        ("SINK_PORT", "tcp://10.0.0.1:9105", ""),
        ("SINK_PORT_9105_TCP", "tcp://10.0.0.1:9105", ""),
        ("MY_SINK_JOURNAL", "x", ""),
    ],
)
def test_misspelt_variable(name: str, value: str, warning: str) -> None:
    """A SINK_ variable that is not ours is named with the nearest one; those of Kubernetes and others' are not."""
    expected = (f"{name} is set, but the sink does not read it; {warning}",) if warning else ()
    assert load_settings({name: value}).warnings == expected


def test_misspelt_variable_is_in_the_log(kafka: MockKafka, sink: SinkProcess) -> None:
    """One line before the start-up line; the sink starts."""
    kafka.create(LEADS, 1)
    sink.env |= {"TOPICS": LEADS, "SINK_LOG_EVENT": "none"}
    sink.start_ready()
    wait_until(lambda: any("CRM Events Sink started" in line for line in sink.lines()))
    assert "] SINK_LOG_EVENT is set, but the sink does not read it; did you mean SINK_LOG_EVENTS?" in sink.lines()[0]
