"""Somebody has edited panel 21: a query over a range, whose rows are no longer the tenants."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.must_be_set_up(injector.layout.dashboard, '"format": "table"')
    injector.rewrite(
        injector.layout.dashboard, lambda content: content.replace(b'"format": "table"', b'"format": "time_series"')
    )
    injector.restart("grafana")
    return "the format of panel 21 was changed in the dashboard, and Grafana has read it"
