"""The runtime of an installation without one: logs that settings name, and "not known" of everything else."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.shell import show_end
from runbook.systems.runtime import Runtime, Service
from runbook.systems.unmanaged.client import UnmanagedRuntime

SINK = Service(name="crm-events-sink", container="aether-crm-events-sink")
LINES = "[2025-11-03T19:48:51.465169] first\nTraceback\n[2025-11-03T19:49:00.000000] second\n"


def runtime_with(log: Path | None = None) -> UnmanagedRuntime:
    logs = {SINK.name: log} if log else {}
    return UnmanagedRuntime(logs, where="RUNBOOK_RUNTIME_KIND", log_setting="RUNBOOK_SINK_LOG_FILE")


def test_what_cannot_be_known_is_an_error_that_names_the_setting() -> None:
    """Never an empty answer, which would read as "on no network" or "nothing is published"."""
    runtime: Runtime = runtime_with()

    for ask in (
        lambda: runtime.restart(SINK, timeout_s=1),
        lambda: runtime_with().check_restart(SINK),
        lambda: runtime.log(SINK),
        lambda: list(runtime.follow(SINK)),
        lambda: runtime.file_inside(SINK, "/x"),
        lambda: runtime.networks(SINK),
        lambda: runtime.published(SINK),
    ):
        with pytest.raises(RunbookError, match="the runtime of this target is none") as caught:
            ask()
        assert caught.value.where == "RUNBOOK_RUNTIME_KIND"


def test_a_service_neither_runs_nor_has_ended() -> None:
    state = runtime_with().state(SINK)

    assert (state.status, state.is_running, state.is_stopped, state.started_at) == ("unknown", False, False, None)


def test_a_log_that_a_setting_names_is_read(tmp_path: Path) -> None:
    log = tmp_path / "sink.log"
    log.write_text(LINES, encoding="utf-8")
    runtime = runtime_with(log)

    since = datetime(2025, 11, 3, 19, 48, 55, tzinfo=UTC)
    assert [line.text[-6:] for line in runtime.log(SINK, since=since)] == ["ceback", "second"]
    assert [line.text for line in runtime.log(SINK, tail=1)] == ["[2025-11-03T19:49:00.000000] second"]
    followed = runtime.follow(SINK)
    assert next(followed).at == datetime(2025, 11, 3, 19, 48, 51, 465169, tzinfo=UTC)
    assert runtime.log_command(SINK) == show_end(log, 100)


def test_a_log_that_is_not_there_is_no_empty_log(tmp_path: Path) -> None:
    with pytest.raises(RunbookError, match="is not there") as caught:
        runtime_with(tmp_path / "sink.log").log(SINK)

    assert caught.value.fix == "correct RUNBOOK_SINK_LOG_FILE"
