"""prometheus.yml names another rules file."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.must_be_set_up(injector.layout.rules)
    injector.reconfigure_prometheus(lambda config: config.update(rule_files=["other-rules.yml"]))
    return "rule_files was changed to another file"
