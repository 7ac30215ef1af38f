"""The Kafka broker is killed."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    return injector.kill("kafka")
