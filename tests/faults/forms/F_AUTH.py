"""Grafana's admin has another name."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart("grafana", environment={"GF_SECURITY_ADMIN_USER": "root"})
    return "the admin of Grafana was renamed"
