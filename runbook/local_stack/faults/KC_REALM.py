"""Keycloak serves another realm."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--realm", "another")
    return "Keycloak was started with another realm"
