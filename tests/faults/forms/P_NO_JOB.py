"""The scrape job of the sink has another name."""

from typing import Any

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    def renamed(config: dict[str, Any]) -> None:
        for job in config["scrape_configs"]:
            if job["job_name"] == injector.target.prometheus.job:
                job["job_name"] = "crm-sink"

    injector.reconfigure_prometheus(renamed)
    return "the scrape job was renamed"
