"""The end of the rules file is no YAML."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.rewrite(injector.layout.rules, lambda content: content + b"\n  - name: [unfinished\n")
    injector.reload()
    return "a line that is not valid YAML was added at the end of the rules file, and Prometheus was told to reload"
