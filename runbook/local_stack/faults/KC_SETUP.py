"""The user has required actions left."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    user = injector.target.keycloak.username
    injector.restart_stand_in("keycloak", "--not-set-up", user)
    return f"{user} was given required actions"
