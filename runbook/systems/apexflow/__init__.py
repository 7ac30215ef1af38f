"""The system apexflow."""
