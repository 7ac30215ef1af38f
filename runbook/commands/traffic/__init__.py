"""The command `traffic`."""
