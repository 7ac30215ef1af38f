"""The user has another password."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    user = injector.target.keycloak.username
    injector.restart_stand_in("keycloak", environment={"STANDIN_USERS": f"{user}:another"})
    return f"{user} was given another password in Keycloak"
