"""Prometheus is started again with a broken rules file: the runbook's own trap."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.rewrite(injector.layout.rules, lambda content: content + b"\n  - name: [unfinished\n")
    injector.restart("prometheus", wait=False)
    return "Prometheus was restarted with a broken rules file"
