"""Grafana listens at another port."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().grafana
    injector.restart("grafana", "--port", str(port), wait=False)
    return f"Grafana was moved to port {port}"
