"""A sink that does not show new series at zero counts its first events, and Prometheus never saw them at zero."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.run_instead("crm-events-sink", "runbook.local_stack.fakes.plain_sink")
    injector.empty_prometheus()
    injector.wait_until_counted(0)
    injector.send_wave()
    injector.wait_until_counted(2)
    return "a plain sink took the place of the sink and counted its first events"
