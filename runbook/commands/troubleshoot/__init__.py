"""The command `troubleshoot`."""
