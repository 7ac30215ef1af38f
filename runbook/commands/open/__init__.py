"""The command `open`."""
