"""Nothing is done: a stack without traffic is idle."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(_injector: FaultInjector) -> str:
    return "nothing to inject: send no events for five minutes, then troubleshoot"
