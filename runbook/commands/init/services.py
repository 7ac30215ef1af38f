"""What the services themselves say: that they answer, Grafana's datasources, Prometheus's jobs and rule groups."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from runbook.commands.init.survey import Survey
from runbook.errors import RunbookError, UnreachableError
from runbook.files.file_discovery import RULES
from runbook.systems.alertmanager.client import Alertmanager
from runbook.systems.grafana.client import Grafana
from runbook.systems.kafka.client import Kafka
from runbook.systems.keycloak.client import Keycloak
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.sink.client import Sink

_ANSWER_S: Final = 3.0

T = TypeVar("T")


class _Client(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Client)


def ask_services(survey: Survey) -> None:
    """Ask each service at its address, side by side; a silent one cannot be told from one that is elsewhere."""
    target = survey.target
    asked: dict[str, Callable[[], object]] = {
        "keycloak": lambda: _realm(survey),
        "kafka": lambda: _of(Kafka(target.kafka, _ANSWER_S), Kafka.metadata),
        "sink": lambda: _of(Sink(target.sink, _ANSWER_S), Sink.page),
        "prometheus": lambda: _of(Prometheus(target.prometheus, _ANSWER_S), Prometheus.ready),
        "alertmanager": lambda: _of(Alertmanager(target.alertmanager, _ANSWER_S), Alertmanager.ready),
        "grafana": lambda: _of(Grafana(target.grafana, _ANSWER_S), Grafana.health),
    }
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        errors = dict(zip(asked, pool.map(_error_of, asked.values()), strict=True))
    for group, error in errors.items():
        if error:
            survey.met(error)
        if not isinstance(error, UnreachableError):
            survey.answering.append(group)


def _error_of(ask: Callable[[], object]) -> RunbookError | None:
    try:
        ask()
    except RunbookError as error:
        return error
    return None


def find_datasource(survey: Survey) -> None:
    """Find the datasource for Prometheus by its name: the one that is set, else the only one, or the default one."""
    settings = survey.target.grafana
    try:
        sources = _of(Grafana(settings, _ANSWER_S), Grafana.datasources)
    except RunbookError as error:
        survey.met(error)
        return
    mine = [one for one in sources if one.type == "prometheus"]
    if any(one.name == settings.datasource for one in mine) or not survey.is_open("grafana", "datasource"):
        return
    chosen = mine if len(mine) == 1 else [one for one in mine if one.is_default]
    if len(chosen) == 1:
        why = "the only datasource of type prometheus" if len(mine) == 1 else "the default datasource"
        survey.finds("grafana", "datasource", chosen[0].name, why)
        return
    survey.cannot_tell(
        f"Which datasource leads to Prometheus is not known: {', '.join(one.name for one in mine) or 'there is none'}",
        where=f"GET {settings.url}/api/datasources",
        fix=f"set {settings.place_of('datasource')} to its name, or provision one",
    )


def find_job(survey: Survey) -> None:
    """Find the job that scrapes the sink: the one that is set, else the only one that scrapes its port."""
    settings, sink = survey.target.prometheus, survey.target.sink
    try:
        targets = _of(Prometheus(settings, _ANSWER_S), Prometheus.targets)
    except RunbookError as error:
        survey.met(error)
        return
    jobs = sorted({one.job for one in targets})
    if settings.job in jobs or not survey.is_open("prometheus", "job"):
        return
    names = {sink.container, sink.service}
    mine = sorted({one.job for one in targets if urlsplit(one.url).hostname in names})
    if len(mine) == 1:
        survey.finds("prometheus", "job", mine[0], f"the only job that scrapes {sink.container}")
        return
    survey.cannot_tell(
        f"Which job scrapes the sink is not known: there are {', '.join(jobs) or 'none'}",
        where=f"GET {settings.url}/api/v1/targets",
        fix=f"set {settings.place_of('job')} to its name, or add a job {settings.job} to prometheus.yml",
    )


def loaded_rules_file(survey: Survey) -> Path | None:
    """Return the runbook's rules file as Prometheus names it; without containers that is a path of its own host."""
    try:
        groups = _of(Prometheus(survey.target.prometheus, _ANSWER_S), Prometheus.rules)
    except RunbookError:
        return None  # said already by `ask_services`
    files = dict.fromkeys(group.file for group in groups)
    named = [file for file in files if Path(file).name in {RULES, Path(survey.target.prometheus.rules_inside).name}]
    return Path(named[0]) if len(named) == 1 else None


def _realm(survey: Survey) -> None:
    settings = survey.target.keycloak
    realm = _of(Keycloak(settings, _ANSWER_S), Keycloak.realm)
    if realm.status == HTTPStatus.NOT_FOUND:
        survey.cannot_tell(
            f"Keycloak has no realm {settings.realm}",
            where=f"GET {settings.url}/realms/{settings.realm}",
            fix=f"set {settings.place_of('realm')} to the realm of the CRM (it is in the address of its login page)",
        )


def _of(client: C, read: Callable[[C], T]) -> T:
    with closing(client):
        return read(client)
