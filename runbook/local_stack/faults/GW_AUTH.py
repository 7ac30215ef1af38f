"""The gateway looks for the keys of Keycloak where nobody answers."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().keycloak
    injector.restart_stand_in("gateway", "--issuer-url", f"http://127.0.0.1:{port}")
    return f"the gateway was started with port {port} for Keycloak"
