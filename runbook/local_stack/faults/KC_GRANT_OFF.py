"""The client may not log in with a password."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--no-direct-grants")
    return "direct access grants were turned off for the client"
