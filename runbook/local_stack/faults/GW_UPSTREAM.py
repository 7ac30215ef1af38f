"""The gateway has a wrong address of ApexFlow."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().apexflow
    injector.restart_stand_in("gateway", "--upstream", f"http://127.0.0.1:{port}")
    return f"the gateway was started with port {port} for ApexFlow"
