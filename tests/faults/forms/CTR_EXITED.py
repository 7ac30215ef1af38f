"""ApexFlow is killed: the same fault at another hop."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    return injector.kill("apexflow")
