"""The faults that can be injected are the files that inject them, and each is a fault that is looked for."""

from importlib import import_module
from pathlib import Path

import pytest

from runbook.diagnosis.catalogue import CHECKS
from runbook.errors import UsageError
from runbook.local_stack import faults
from runbook.local_stack.fault_injection import break_stack, codes, injection
from runbook.settings import LOCAL

FORMS = sorted(path.stem for path in (Path(__file__).parent / "forms").glob("*.py"))


def test_what_can_be_injected_is_what_has_a_file() -> None:
    """Adding one is adding a file: nothing lists them a second time."""
    files = {path.stem for path in Path(faults.__path__[0]).glob("*.py")} - {"__init__"}

    assert set(codes()) == files
    assert list(codes()) == sorted(codes())


def test_every_file_injects_a_fault_that_is_looked_for() -> None:
    """A code that no check names could be injected, and never be found."""
    looked_for = {check.code for check in CHECKS}

    assert set(codes()) - looked_for == set()
    assert set(FORMS) - set(codes()) == set()


@pytest.mark.parametrize(
    "name", [f"{faults.__name__}.{code}" for code in codes()] + [f"tests.faults.forms.{code}" for code in FORMS]
)
def test_each_says_what_it_does(name: str) -> None:
    """In one sentence, for whoever looks for a fault to practise with."""
    module = import_module(name)

    assert module.__doc__
    assert module.__doc__.strip().endswith(".")
    assert callable(module.inject)


@pytest.mark.parametrize(
    ("code", "target", "said"),
    [
        pytest.param("KC_DOWN", "live", "never into 'live'", id="another target"),
        pytest.param("DOCKER_DOWN", LOCAL, "CTR_EXITED, CTR_PAUSED, F_AUTH", id="a fault that cannot be injected"),
        pytest.param("KC_DWN", LOCAL, "did you mean KC_DOWN", id="a misspelt code"),
        pytest.param("kc_user", LOCAL, "did you mean KC_USER", id="small letters"),
    ],
)
def test_breaking_is_refused(tmp_path: Path, code: str, target: str, said: str) -> None:
    """Nothing but the local stack is ever broken, and an unknown code lists the known ones, the nearest first."""
    with pytest.raises(UsageError, match=said):
        break_stack(tmp_path, code, target=target)


def test_without_a_stack_nothing_is_broken(tmp_path: Path) -> None:
    """The error names the command that starts one."""
    with pytest.raises(UsageError, match=r"inv stack\.up"):
        break_stack(tmp_path, "KC_DOWN")


def test_a_code_is_a_file_and_never_a_path() -> None:
    for code in ("__init__", "..fault_injector", "", "KC_DOWN.py"):
        with pytest.raises(UsageError):
            injection(code)
