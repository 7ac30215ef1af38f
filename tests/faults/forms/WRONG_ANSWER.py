"""The edge proxy asks for a login of its own."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("gateway", "--instead", "login")
    return "the edge proxy was made to ask for a login"
