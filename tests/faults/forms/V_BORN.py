"""Prometheus loses its samples after the events: what it sees first is above zero, and stays there."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.send_wave()
    injector.wait_until_counted(2)
    injector.empty_prometheus()
    injector.wait_until_counted(2)
    return "Prometheus lost its samples after the events had been counted"
