"""The sink serves its metrics page at another port."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().sink_metrics
    injector.restart("crm-events-sink", environment={"PROM_PORT": str(port)}, wait=False)
    return f"the sink was started with PROM_PORT={port}"
