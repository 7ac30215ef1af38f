"""The names that the runbook and the sink give: the alert, and the counter that both panels show."""

from typing import Final

ALERT: Final = "CrmEventsSinkDown"
COUNTER: Final = "crm_events_ingested_total"
