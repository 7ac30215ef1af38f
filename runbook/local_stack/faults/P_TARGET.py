"""The scrape job of the sink has a wrong port."""

from typing import Any

from runbook.local_stack.fault_injector import FaultInjector
from runbook.local_stack.ports import Ports


def inject(injector: FaultInjector) -> str:
    port = Ports.free().sink_metrics

    def with_a_wrong_port(config: dict[str, Any]) -> None:
        for job in config["scrape_configs"]:
            if job["job_name"] == injector.target.prometheus.job:
                job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]

    injector.reconfigure_prometheus(with_a_wrong_port)
    injector.wait_until_scrape_fails()
    return f"the target of the scrape job was changed to port {port}"
