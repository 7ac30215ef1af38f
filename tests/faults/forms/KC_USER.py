"""Keycloak does not know the user."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", environment={"STANDIN_USERS": "somebody:demo"})
    return "Keycloak was given another user"
