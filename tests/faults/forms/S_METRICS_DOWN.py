"""The sink serves its pages at another address of this host."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart("crm-events-sink", environment={"SINK_BIND": "127.0.0.2"}, wait=False)
    return "the sink was bound to 127.0.0.2"
