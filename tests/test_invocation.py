"""Commands as they are printed: they name the program that was called and the target of the run."""

from collections.abc import Iterator

import pytest

from runbook.invocation import PROGRAM_VARIABLE, called_as, inv, works_on


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    yield
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    called_as("inv")
    works_on("")


def test_the_default_target_needs_no_option() -> None:
    assert inv("troubleshoot") == "inv troubleshoot"


def test_a_command_names_the_target_of_the_run() -> None:
    """A rollback printed under `--target staging` must not act on `live`."""
    works_on("staging")
    assert inv("rollback --run X --force") == "inv rollback --target staging --run X --force"


@pytest.mark.parametrize("command", ["stack.up", "dev.docs", "history", "report --run X", "demo --keep", "--list"])
def test_some_commands_take_no_target(command: str) -> None:
    works_on("staging")
    assert inv(command) == f"inv {command}"


def test_another_target_can_be_named() -> None:
    works_on("live")
    assert inv("setup", target="local") == "inv setup --target local"


def test_it_is_printed_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrapper says what was typed; without it, the program's own name counts."""
    called_as("crm-runbook")
    assert inv("verify") == "crm-runbook verify"
    monkeypatch.setenv(PROGRAM_VARIABLE, "./inv")
    called_as("crm-runbook")
    assert inv("verify") == "./inv verify"
