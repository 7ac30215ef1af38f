"""The claims and faults of each hop."""
