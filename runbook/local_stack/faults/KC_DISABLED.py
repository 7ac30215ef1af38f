"""The user is disabled."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    user = injector.target.keycloak.username
    injector.restart_stand_in("keycloak", "--disabled", user)
    return f"{user} was disabled in Keycloak"
