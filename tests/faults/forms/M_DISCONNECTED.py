"""prometheus.yml has a list of Alertmanagers, and it is empty."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.reconfigure_prometheus(lambda config: config.update(alerting={"alertmanagers": []}))
    return "the list of Alertmanagers was emptied"
