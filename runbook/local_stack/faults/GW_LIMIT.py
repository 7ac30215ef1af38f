"""The edge proxy takes no more requests."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("gateway", "--instead", "limit")
    return "the edge proxy was made to answer 429"
