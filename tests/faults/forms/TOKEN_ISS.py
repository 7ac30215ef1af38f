"""Keycloak calls itself by another name."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--issuer-url", "http://localhost:8180")
    return "Keycloak was given another public name"
