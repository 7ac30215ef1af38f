"""The edge proxy shows a login page."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("gateway", "--instead", "login-page")
    return "the edge proxy was given a login page"
