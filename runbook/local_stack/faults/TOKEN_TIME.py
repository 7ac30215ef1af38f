"""Keycloak gives tokens that have expired when they come."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--token-lifetime", "-60")
    return "Keycloak was made to give expired tokens"
