"""A silence for the whole team hides the alert among others."""

from runbook.local_stack.fault_injector import FaultInjector
from runbook.systems.alertmanager.client import Matcher


def inject(injector: FaultInjector) -> str:
    return injector.silence(Matcher(name="job", value="crm-.*", is_regex=True))
