"""How each fault is made, by its code. Each function hurts the patient and says in one sentence what was done."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import yaml

from runbook.errors import RunbookError
from runbook.local_stack.fault_injector import Patient
from runbook.local_stack.ports import Ports
from runbook.names import ALERT

SINK: Final = "crm-events-sink"
_PANELS: Final = frozenset({20, 21})
_PLAIN_SINK: Final = "runbook.local_stack.fakes.plain_sink"

Injection = Callable[[Patient], str]


def _killed(name: str, patient: Patient) -> str:
    return patient.kill(name)


def _other_password(patient: Patient) -> str:
    patient.restart("keycloak", {"STANDIN_USERS": f"{patient.target.keycloak.username}:another"})
    return "Keycloak was given another password for the user"


def _other_metrics_port(patient: Patient) -> str:
    port = Ports.free().sink_metrics
    patient.restart(SINK, {"PROM_PORT": str(port)}, wait=False)
    return f"the sink was started with PROM_PORT={port}"


def _duplicate(patient: Patient) -> str:
    return patient.send_twice()


def _no_job(patient: Patient) -> str:
    def change(config: dict[str, Any]) -> None:
        mine = patient.target.prometheus.job
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] != mine]

    _reconfigure(patient, change)
    return "the scrape job was taken out of prometheus.yml"


def _not_listed(patient: Patient) -> str:
    if ALERT.encode() not in patient.layout.rules.read_bytes():
        raise _not_set_up(str(patient.layout.rules))
    _reconfigure(patient, lambda config: config.update(rule_files=[]))
    return "the rules file was taken out of rule_files"


def _invalid(patient: Patient) -> str:
    patient.rewrite(patient.layout.rules, lambda content: content + b"\n  - name: [unfinished\n")
    patient.reload()
    return "the end of the rules file was made unreadable, and Prometheus told to reload"


def _old_dashboard(patient: Patient) -> str:
    dashboard = json.loads(patient.layout.dashboard.read_text(encoding="utf-8-sig"))
    old = [panel for panel in dashboard["panels"] if panel.get("id") not in _PANELS]
    if len(old) == len(dashboard["panels"]):
        raise _not_set_up(str(patient.layout.dashboard))
    folder = patient.layout.data / "old-dashboards"
    folder.mkdir(exist_ok=True)
    (folder / patient.layout.dashboard.name).write_text(json.dumps({**dashboard, "panels": old}), encoding="utf-8")

    def change(content: bytes) -> bytes:
        config = yaml.safe_load(content)
        config["providers"][0]["options"]["path"] = str(folder)
        return yaml.safe_dump(config).encode()

    patient.rewrite(patient.layout.monitoring / "grafana/provisioning/dashboards/dashboards.yml", change)
    patient.restart("grafana", {})
    return f"Grafana's provider was pointed to the old dashboard in {folder}"


def _born(patient: Patient) -> str:
    patient.run_instead(SINK, _PLAIN_SINK)
    patient.empty_prometheus()
    patient.until_counted(0)
    patient.send_wave()
    patient.until_counted(2)
    return "a plain sink took the place of the sink and counted its first events"


def _idle(_: Patient) -> str:
    return "nothing was changed: five minutes after the last event, the panels are empty"


def _silenced(patient: Patient) -> str:
    return patient.silence(ALERT)


def _reconfigure(patient: Patient, change: Callable[[dict[str, Any]], None]) -> None:
    def changed(content: bytes) -> bytes:
        config = yaml.safe_load(content)
        change(config)
        return yaml.safe_dump(config).encode()

    patient.rewrite(patient.layout.monitoring / "prometheus.yml", changed)
    patient.reload()


def _not_set_up(where: str) -> RunbookError:
    return RunbookError("Setup has not been applied to the local stack", where=where, fix="inv setup --target local")


INJECTIONS: Final[Mapping[str, Injection]] = {
    "CTR_EXITED": partial(_killed, SINK),
    "KC_DOWN": partial(_killed, "keycloak"),
    "KC_USER": _other_password,
    "GW_DOWN": partial(_killed, "gateway"),
    "GW_DUPLICATE": _duplicate,
    "Q_DOWN": partial(_killed, "kafka"),
    "S_METRICS_DOWN": _other_metrics_port,
    "P_DOWN": partial(_killed, "prometheus"),
    "P_NO_JOB": _no_job,
    "R_INVALID": _invalid,
    "R_NOT_LISTED": _not_listed,
    "F_DOWN": partial(_killed, "grafana"),
    "F_NOT_PROVISIONED": _old_dashboard,
    "M_DOWN": partial(_killed, "alertmanager"),
    "M_SILENCED": _silenced,
    "V_BORN": _born,
    "A_IDLE": _idle,
}
