"""The command `silence`."""
