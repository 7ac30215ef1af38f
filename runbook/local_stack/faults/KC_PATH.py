"""Keycloak has its paths below /auth, as before version 17."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--prefix", "/auth")
    return "Keycloak was moved below /auth"
