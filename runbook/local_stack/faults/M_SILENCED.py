"""The alert is silenced by its name."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.names import ALERT
from runbook.systems.alertmanager.client import Matcher


def inject(injector: FaultInjector) -> str:
    return injector.silence(Matcher(name="alertname", value=ALERT))
