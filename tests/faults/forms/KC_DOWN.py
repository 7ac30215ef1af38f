"""Keycloak is frozen: it accepts connections and answers none."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    return injector.freeze("keycloak")
