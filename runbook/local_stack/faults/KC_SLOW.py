"""Keycloak takes four seconds for each answer."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--delay", "4")
    return "Keycloak was slowed down to 4 s an answer"
