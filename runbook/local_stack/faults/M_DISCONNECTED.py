"""prometheus.yml names no Alertmanager."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.reconfigure_prometheus(lambda config: config.update(alerting={}))
    return "Alertmanager was taken out of prometheus.yml"
