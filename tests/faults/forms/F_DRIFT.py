"""Somebody has hidden the query of panel 20."""

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    injector.must_be_set_up(injector.layout.dashboard, '"legendFormat": "{{topic}}"')

    def hidden(content: bytes) -> bytes:
        return content.replace(b'"legendFormat": "{{topic}}"', b'"legendFormat": "{{topic}}", "hide": true')

    injector.rewrite(injector.layout.dashboard, hidden)
    injector.restart("grafana")
    return "the query of panel 20 was hidden in the dashboard, and Grafana has read it"
