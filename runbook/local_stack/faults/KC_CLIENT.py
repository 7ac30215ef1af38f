"""Keycloak knows another client."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--client", "another-client")
    return "Keycloak was started with another client"
