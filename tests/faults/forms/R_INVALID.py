"""The file is YAML, and the expression of the alert is no PromQL."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.must_be_set_up(injector.layout.rules)
    injector.rewrite(injector.layout.rules, lambda content: content.replace(b"} == 0", b"} == ("))
    injector.reload()
    return "the expression of the alert was cut off"
