"""The command `metrics`."""
