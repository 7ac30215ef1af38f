"""The realm is disabled."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--realm-off")
    return "the realm was disabled"
