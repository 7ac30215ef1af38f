"""The CRM Events Sink, a service of its own: it imports nothing of the runbook."""

from typing import Final

VERSION: Final = "0.1.0"
"""As in pyproject.toml; here too, because the image holds the code and no package."""
