"""The realm takes no login without https."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--wants-https")
    return "the realm was made to want https"
