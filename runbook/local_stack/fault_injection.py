"""`stack.break CODE` and `stack.mend`: a fault injected into the local stack, for practice and tests, and undone.

Several faults may be injected one after the other; mending undoes all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from runbook.errors import UsageError
from runbook.interrupts import uninterrupted
from runbook.invocation import inv
from runbook.local_stack import fault_traffic, faults, stack
from runbook.local_stack.fault_injector import FaultInjector
from runbook.locks import target_lock
from runbook.observer import Observer
from runbook.settings import LOCAL, STATE_DIR, load_target
from runbook.wording import one_of

Injection = Callable[[FaultInjector], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """What was done, in one sentence, and whether that changed anything: an idle stack needs no change."""

    what: str
    has_changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was undone, and which services were started."""

    undone: tuple[str, ...]
    started: tuple[str, ...]


def codes() -> tuple[str, ...]:
    """Return the codes of the faults that can be injected."""
    return tuple(sorted(module.name for module in iter_modules(faults.__path__)))


def injection(code: str) -> Injection:
    """Return how a fault is injected. Raises UsageError for a code that has no file in `faults/`."""
    if code not in codes():
        raise UsageError(f"No fault {code!r} can be injected", where="stack.break CODE", fix=one_of(code, codes()))
    inject: Injection = import_module(f"{faults.__name__}.{code}").inject
    return inject


def break_stack(directory: Path, code: str, *, target: str = LOCAL) -> Injected:
    """Inject the fault `code` into the local stack of a working directory.

    Raises UsageError for another target, an unknown code, or when the stack is not up; RunbookError when the fault
    cannot be injected (R_NOT_LISTED and F_NOT_PROVISIONED need a setup first).
    """
    if target != LOCAL:
        raise UsageError(
            f"Faults are injected into the local stack only, never into {target!r}",
            where="option --target",
            fix=inv(f"stack.break {code}"),
        )
    return inject_fault(directory, injection(code))


def inject_fault(directory: Path, inject: Injection) -> Injected:
    """Inject a fault. Raises UsageError when the stack is not up, RunbookError when it cannot be injected."""
    settings = load_target(LOCAL, directory=directory)
    with target_lock(directory / STATE_DIR, target=LOCAL):
        injector = FaultInjector(directory, settings)
        before = injector.injected.every
        what = inject(injector)
        return Injected(what=what, has_changed=injector.injected.every != before)


def mend_stack(directory: Path, observer: Observer) -> Mended:
    """Undo every fault that was injected, and start what is down.

    Raises RunbookError if a service does not come up again. Mending a healthy stack changes nothing.
    """
    settings = load_target(LOCAL, directory=directory)
    injected = FaultInjector(directory, settings).injected
    with target_lock(directory / STATE_DIR, target=LOCAL), uninterrupted():
        undone = injected.undo(directory, settings)
        before = {service.name: service.pid for service in stack.status(directory)}
    services = stack.up(directory, observer)
    if injected.need_traffic:
        fault_traffic.send_wave(directory, load_target(LOCAL, directory=directory))
        undone = (*undone, "sent a lead and a job, as the fix says")
    injected.forget()
    started = tuple(service.name for service in services if service.pid != before.get(service.name))
    return Mended(undone=undone, started=started)
