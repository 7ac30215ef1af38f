"""The end of the rules file is no YAML."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.rewrite(injector.layout.rules, lambda content: content + b"\n  - name: [unfinished\n")
    injector.reload()
    return "the end of the rules file was made unreadable, and Prometheus was told to reload"
