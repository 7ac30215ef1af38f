"""The runs so far: `.runbook/runs/ID`."""
