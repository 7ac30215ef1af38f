"""Grafana's part: its HTTP API as far as this project depends on it."""
