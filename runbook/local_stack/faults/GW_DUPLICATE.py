"""A traffic run meets its own test data."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    return injector.send_twice()
