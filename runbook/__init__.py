"""The runbook "CRM Events Visualization Setup", carried out and proven."""
