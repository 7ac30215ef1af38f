"""The CRM Events Sink, a service of its own: it imports nothing of the runbook."""
