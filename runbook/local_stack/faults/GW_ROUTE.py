"""The edge proxy routes another host."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_stand_in("gateway", "--host", "another.aetherlink.local")
    return "the edge proxy was given the route of another host"
