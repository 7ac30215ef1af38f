"""`stack.break CODE` and `stack.mend`: a fault made for real in the local stack, for practice and tests, and undone.

What mending needs is written to `.stack/fault.json` before anything is touched, so that nothing is lost if the
command is interrupted. Several faults may be made one after the other; mending undoes all of them.
"""

from pathlib import Path

from runbook.errors import UsageError
from runbook.interrupts import uninterrupted
from runbook.local_stack import stack
from runbook.local_stack.fault_injector import Patient
from runbook.local_stack.injections import INJECTIONS
from runbook.locks import target_lock
from runbook.observer import Observer
from runbook.settings import LOCAL, STATE_DIR, load_target


def break_stack(directory: Path, code: str, *, target: str = LOCAL) -> str:
    """Make the fault `code` in the local stack of a working directory, and return what was done.

    Raises UsageError for another target, an unknown code, or when the stack is not up; RunbookError when the fault
    cannot be made (R_NOT_LISTED and F_NOT_PROVISIONED need a setup first).
    """
    if target != LOCAL:
        raise UsageError(
            f"Faults are made in the local stack only, never in {target!r}",
            where="option --target",
            fix=f"inv stack.break {code}",
        )
    inject = INJECTIONS.get(code)
    if inject is None:
        raise UsageError(
            f"There is no way to make the fault {code!r}",
            where="inv stack.break CODE",
            fix=f"choose one of {', '.join(INJECTIONS)}",
        )
    settings = load_target(LOCAL, directory=directory)
    with target_lock(directory / STATE_DIR, target=LOCAL):
        return inject(Patient(directory, settings))


def mend_stack(directory: Path, observer: Observer) -> tuple[str, ...]:
    """Undo every fault that was made, start what is down, and return what was undone.

    Raises RunbookError if a part does not come up again. Mending a healthy stack changes nothing.
    """
    settings = load_target(LOCAL, directory=directory)
    patient = Patient(directory, settings)
    with target_lock(directory / STATE_DIR, target=LOCAL), uninterrupted():
        undone = patient.heal()
    stack.up(directory, observer)
    if patient.needs_traffic:
        Patient(directory, load_target(LOCAL, directory=directory)).send_wave()
        undone = (*undone, "sent a lead and a job, as the fix says")
    patient.forget()
    return undone
