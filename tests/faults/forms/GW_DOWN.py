"""The edge proxy listens at another port."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().gateway
    injector.restart("gateway", "--port", str(port), wait=False)
    return f"the gateway was moved to port {port}"
