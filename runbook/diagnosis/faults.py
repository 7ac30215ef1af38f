"""Every fault that can be told apart, as data: code, hop, diagnosis, fix. The order is that of the flow.

A diagnosis or fix may have `{fields}`; the check that finds the fault fills them with what it saw. What is not in
IMPLEMENTED is known by name only: no check looks for it, so nothing here claims that it was ruled out.
"""

from dataclasses import dataclass
from typing import Final

from runbook.diagnosis.engine import Broken
from runbook.model import Evidence


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong: its name, the hop it belongs to, what it is, and what to do next."""

    code: str
    hop: str
    diagnosis: str
    fix: str


FAULTS: Final = (
    # What runs the services. The hop of such a check is the service's own.
    Fault("DOCKER_DOWN", "runtime", "Docker does not answer, nor does any service", "{fix}"),
    Fault("CTR_MISSING", "runtime", "There is no service {name} (closest: {nearest})", "{start}"),
    Fault("CTR_OOM", "runtime", "{name} was killed for its use of memory", "raise its memory limit, then {start}"),
    Fault("CTR_EXITED", "runtime", "{name} has exited{exit_code}", "{start}"),
    Fault("CTR_PAUSED", "runtime", "{name} is frozen", "{start}"),
    Fault("CTR_LOOP", "runtime", "{name} starts again and again", "{log}: its last lines name the cause"),
    Fault("WRONG_NETWORK", "runtime", "{name} shares no network with {peer}", "{fix}"),
    Fault("PORT_UNPUBLISHED", "runtime", "{name} runs, and has no port {port} on {host}", "{fix}"),
    # Keycloak and the token it gives
    Fault("KC_DOWN", "keycloak", "Keycloak does not answer", "{start}"),
    Fault("KC_REALM", "keycloak", "Keycloak has no realm {realm}", "correct RUNBOOK_KEYCLOAK_REALM or import it"),
    Fault(
        "KC_CLIENT", "keycloak", "Keycloak does not accept the client {client}",
        "correct RUNBOOK_KEYCLOAK_CLIENT_ID, or its secret in RUNBOOK_KEYCLOAK_CLIENT_SECRET_FILE",
    ),
    Fault(
        "KC_GRANT_OFF", "keycloak", "The client {client} may not log in with a password",
        "enable direct access grants on {client}",
    ),
    Fault(
        "KC_SETUP", "keycloak", "The account {user} is not fully set up",
        "clear the required actions of {user} in Keycloak",
    ),
    Fault(
        "KC_USER", "keycloak", "Keycloak does not accept the user {user} with this password",
        "set the password of {user} in Keycloak, or RUNBOOK_KEYCLOAK_PASSWORD_FILE here",
    ),
    Fault(
        "TOKEN_TENANT", "token", "The token has no claim tenant_id",
        "give the client {client} a mapper that puts tenant_id into the access token",
    ),
    Fault(
        "TOKEN_ISS", "token", "The token's issuer is not the one that the gateway expects",
        "give Keycloak and the gateway the same public host name",
    ),
    Fault(
        "TOKEN_TIME", "token", "The token is expired on arrival, or the clocks disagree",
        "synchronise the clocks of the hosts",
    ),
    # Gateway, ApexFlow, its database
    Fault("GW_DOWN", "gateway", "The gateway does not answer", "{start}"),
    Fault(
        "GW_ROUTE", "gateway", "The edge proxy has no route for the host {host}",
        "correct RUNBOOK_GATEWAY_HOST, or the proxy's rule for that host",
    ),
    Fault("GW_AUTH", "gateway", "The gateway refuses a good token", "{log}: it names the claim that it misses"),
    Fault("GW_UPSTREAM", "apexflow", "The gateway gets no answer from ApexFlow", "{restart}"),
    Fault("DB_DOWN", "database", "ApexFlow's database does not run", "{start}"),
    Fault("NO_PRODUCE", "kafka", "ApexFlow created an entity, and no event came", "{restart}"),
    # Kafka
    Fault("Q_DOWN", "kafka", "The Kafka broker does not answer", "{start}"),
    Fault(
        "Q_ADVERTISED", "kafka", "The broker hands out an address that cannot be reached",
        "correct the broker's advertised listeners",
    ),
    Fault(
        "Q_TOPIC", "kafka", "The broker has no topic {topic} (closest: {nearest})",
        "create one lead and one job, or correct the topic's name",
    ),
    Fault("Q_ZOMBIE", "sink", "The sink runs, but has left its consumer group", "{restart}"),
    Fault("Q_STOLEN", "sink", "Another member of the group holds the sink's partitions", "stop the client {client}"),
    Fault("Q_POISON", "sink", "The sink is stuck at one event", "skip that offset, or let it go to the dead letters"),
    Fault("Q_LAG", "sink", "The sink is slower than the events come", "start more sinks, at most one per partition"),
    Fault("Q_RESET_LATEST", "kafka", "The sink joined after the events", "reset the group's offsets to a time"),
    # The sink
    Fault("S_FILTERED", "sink", "The sink read the events and did not count them", "align the events with its schema"),
    Fault("S_ABSENT", "metrics", "The counter does not exist: no event was ever counted", "inv traffic"),
    Fault(
        "S_METRICS_DOWN", "metrics", "The sink runs, but its metrics page does not answer",
        "correct PROM_PORT, then {restart}",
    ),
    # Prometheus
    Fault("P_DOWN", "prometheus", "Prometheus does not answer", "{start}"),
    Fault(
        "P_NO_JOB", "prometheus", "Prometheus has no scrape job {job}",
        "add the job {job} to prometheus.yml, then curl -X POST {url}/-/reload",
    ),
    Fault(
        "P_TARGET", "prometheus", "Prometheus cannot scrape the sink at {scrape_url}",
        "correct the target of the job {job} in prometheus.yml, then curl -X POST {url}/-/reload",
    ),
    Fault("P_JOB_LABEL", "prometheus", "The metric has another job label", "align the job's name or the selector"),
    # Rules
    Fault("R_INVALID", "rules", "Prometheus cannot load the rules file; the old rules live on", "inv rollback"),
    Fault(
        "R_NOT_LISTED", "rules", "Prometheus's configuration does not name the rules file",
        "add {path} to rule_files in prometheus.yml, then curl -X POST {url}/-/reload",
    ),
    Fault("R_NOT_MOUNTED", "rules", "The rules file is not there inside Prometheus's container", "mount it, recreate"),
    Fault("R_STALE_INODE", "rules", "Prometheus's container still holds an old rules file", "{restart}"),
    Fault("R_EVAL", "rules", "The rule {rule} does not evaluate", "correct its expression: inv setup"),
    Fault("R_MISPLACED", "rules", "The rule is in another group, or there twice", "move it to crm_events_alerts"),
    # Grafana
    Fault("F_DOWN", "grafana", "Grafana does not answer", "{start}"),
    Fault(
        "F_AUTH", "grafana", "Grafana does not accept the user {user} with this password",
        "set RUNBOOK_GRAFANA_PASSWORD_FILE, or reset the password in Grafana",
    ),
    Fault(
        "F_DS_MISSING", "grafana", "Grafana has no datasource {name}",
        "provision it, or set RUNBOOK_GRAFANA_DATASOURCE to the name of the one that leads to Prometheus",
    ),
    Fault(
        "F_DS_URL", "grafana", "Grafana cannot reach Prometheus at {url}",
        "put the address that Grafana's own host or container has for Prometheus into the datasource",
    ),
    Fault(
        "F_NOT_PROVISIONED", "grafana", "Grafana serves an old dashboard: the file has panels 20 and 21, the API not",
        "correct the path of the dashboard provider, then {restart}",
    ),
    Fault("F_DUP_UID", "grafana", "Two files claim one dashboard uid", "remove one of them from provisioning"),
    Fault("F_DRIFT", "grafana", "Panel 20 or 21 was changed by hand", "inv setup"),
    # Alertmanager
    Fault("M_DOWN", "alertmanager", "Alertmanager does not answer", "{start}"),
    Fault("M_DISCONNECTED", "alertmanager", "Prometheus knows no Alertmanager", "set alerting: in prometheus.yml"),
    Fault("M_SILENCED", "alertmanager", "CrmEventsSinkDown is silenced until {until} by {by}", "inv unsilence"),
    Fault("M_ROUTE", "alertmanager", "No receiver gets the alert", "correct `route:` in alertmanager.yml"),
    # What is on the screen
    Fault(
        "V_BORN", "panels", "Events are counted, but the panels are blind: the series was born above zero",
        "inv traffic: a second wave of events shows",
    ),
    Fault("V_WINDOW", "panels", "There are fewer than two samples in the window", "wait for the next scrape"),
    Fault("V_TIME", "panels", "The samples are outside the time range", "synchronise the clocks of the hosts"),
    Fault("A_LABEL", "panels", "The alert watches a job that is gone", "correct its expression: inv setup"),
    Fault("A_PENDING", "panels", "The alert is only pending", "wait two minutes"),
    Fault("A_IDLE", "panels", "No event came in the last five minutes: the panels are empty, nothing is wrong", ""),
    # What a container says of itself is told after what its callers see, which is more exact.
    Fault("CTR_UNHEALTHY", "runtime", "The health check of {name} fails{why}", "{fix}"),
    # Not an outage: told last, after everything that is one.
    Fault(
        "GW_DUPLICATE", "gateway", "The last traffic run met test data that exists already",
        "inv traffic: its new run id makes new e-mail addresses",
    ),
)  # fmt: skip

IMPLEMENTED: Final = frozenset(
    {
        "DOCKER_DOWN",
        "CTR_MISSING",
        "CTR_OOM",
        "CTR_EXITED",
        "CTR_PAUSED",
        "CTR_LOOP",
        "CTR_UNHEALTHY",
        "PORT_UNPUBLISHED",
        "WRONG_NETWORK",
        "KC_DOWN",
        "KC_REALM",
        "KC_CLIENT",
        "KC_USER",
        "KC_GRANT_OFF",
        "KC_SETUP",
        "TOKEN_TENANT",
        "GW_DOWN",
        "GW_ROUTE",
        "GW_AUTH",
        "GW_UPSTREAM",
        "DB_DOWN",
        "GW_DUPLICATE",
        "Q_DOWN",
        "Q_ZOMBIE",
        "S_METRICS_DOWN",
        "P_DOWN",
        "P_NO_JOB",
        "P_TARGET",
        "R_INVALID",
        "R_NOT_MOUNTED",
        "R_STALE_INODE",
        "R_NOT_LISTED",
        "R_EVAL",
        "F_DOWN",
        "F_AUTH",
        "F_DS_MISSING",
        "F_DS_URL",
        "F_NOT_PROVISIONED",
        "M_DOWN",
        "M_DISCONNECTED",
        "M_SILENCED",
        "V_BORN",
        "A_IDLE",
    }
)

_BY_CODE: Final = {fault.code: fault for fault in FAULTS}


def fault(code: str) -> Fault:
    """Return the fault of that code; KeyError for a code that nobody knows."""
    return _BY_CODE[code]


def broken(code: str, *evidence: Evidence, **fields: str) -> Broken:
    """Return the finding that names this fault, its words filled in with what was seen."""
    known = fault(code)
    return Broken(evidence, fix=known.fix.format_map(fields), detail=known.diagnosis.format_map(fields))
