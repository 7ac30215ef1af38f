"""The edge proxy leads to a login page elsewhere."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("gateway", "--instead", "redirect")
    return "the edge proxy was made to lead elsewhere"
