"""The client has no mapper for tenant_id."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("keycloak", "--no-tenant-claim")
    return "the mapper for tenant_id was taken from the client"
