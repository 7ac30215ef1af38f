"""The CRM Events Sink, a service that imports nothing from the runbook."""

from typing import Final

VERSION: Final = "0.1.0"
"""The version in pyproject.toml. The image has the code, but no package that could tell it."""
