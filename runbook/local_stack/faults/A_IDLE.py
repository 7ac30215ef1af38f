"""Nothing is done: a stack without traffic is idle."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(_injector: FaultInjector) -> str:
    return "nothing was changed: five minutes after the last event, the panels are empty"
