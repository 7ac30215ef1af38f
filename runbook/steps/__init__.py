"""The tasks of the runbook, each a visible row of small steps."""
