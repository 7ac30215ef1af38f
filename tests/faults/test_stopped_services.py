"""Every process of the local stack in the two states that a runtime knows: one name, and a fix that works."""

import pytest

from runbook.local_stack.fault_injection import inject_fault
from runbook.local_stack.fault_injector import FaultInjector
from runbook.settings import STACK_DIR
from runbook.systems.processes.client import ProcessRuntime
from runbook.waiting import Pending, wait_until
from tests.faults.fault_stack import Installation, named

pytestmark = pytest.mark.stack

HOPS = {
    "keycloak": "keycloak",
    "gateway": "gateway",
    "apexflow": "apexflow",
    "kafka": "kafka",
    "crm-events-sink": "sink",
    "prometheus": "prometheus",
    "grafana": "grafana",
    "alertmanager": "alertmanager",
}
DOES = {"CTR_EXITED": FaultInjector.kill, "CTR_PAUSED": FaultInjector.freeze}


@pytest.mark.parametrize("code", DOES)
@pytest.mark.parametrize("service", HOPS)
def test_a_stopped_service_is_named_alone_and_mended_by_its_fix(ready: Installation, service: str, code: str) -> None:
    """Killed or frozen (it accepts connections and answers none): its hop, nothing else, and the printed command."""
    inject_fault(ready.directory, lambda injector: DOES[code](injector, service))

    result = ready.troubleshoot()

    assert named(result) == ("fault", code, [])
    assert [check.hop for check in result.checks or () if check.status == "broken"] == [HOPS[service]]
    assert result.verdict is not None
    ready.type(result.verdict.fix)
    ready.healthy()
    ready.mend()


def test_a_prometheus_that_ends_at_its_start_is_told_with_the_file_that_it_ends_of(ready: Installation) -> None:
    """Whoever started it again would see it end again: the file comes first."""

    def inject(injector: FaultInjector) -> str:
        injector.rewrite(injector.layout.rules, lambda content: content + b"\n  - name: [unfinished\n")
        injector.restart("prometheus", wait=False)
        return "Prometheus was restarted with a broken rules file"

    inject_fault(ready.directory, inject)
    runtime, service = ProcessRuntime(ready.directory / STACK_DIR), ready.target.prometheus.as_service

    def has_ended() -> bool | Pending:
        state = runtime.state(service)
        return state.is_stopped or Pending(state.status)

    wait_until(has_ended, what="the end of Prometheus", deadline_s=30, where="the stack", fix="none")

    result = ready.troubleshoot()

    assert named(result) == ("fault", "CTR_EXITED", [])
    assert result.verdict is not None
    assert "will not start with it" in str(result.verdict.evidence)
    rules = ready.target.files.rules
    assert result.verdict.fix == f"correct {rules}, then inv stack.up"  # a rollback of what was edited is refused
    ready.mend()
