"""Grafana's admin has another password."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.restart("grafana", environment={"GF_SECURITY_ADMIN_PASSWORD": "another"})
    return "Grafana's admin was given another password"
