"""The scrape job of the sink is taken out of prometheus.yml."""

from typing import Any

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    def without_the_job(config: dict[str, Any]) -> None:
        mine = injector.target.prometheus.job
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] != mine]

    injector.reconfigure_prometheus(without_the_job)
    return "the scrape job was taken out of prometheus.yml"
