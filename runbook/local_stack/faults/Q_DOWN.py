"""The broker runs and answers nobody."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    return injector.open_no_port("kafka")
