"""Prometheus has its paths below /prometheus."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_refusing("prometheus", "--web.route-prefix=/prometheus")
    return "Prometheus was moved below /prometheus"
