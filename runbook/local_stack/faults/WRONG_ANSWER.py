"""Alertmanager has its paths below /alertmanager."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart_refusing("alertmanager", "--web.route-prefix=/alertmanager")
    return "Alertmanager was moved below /alertmanager"
