"""What an operator sees: rich views, and the JSON view of the same results."""

from runbook.console.defects import DefectError, defect
from runbook.console.document import document, json_text, schema
from runbook.console.screen import Screen, make_screen

__all__ = [
    "DefectError",
    "Screen",
    "defect",
    "document",
    "json_text",
    "make_screen",
    "schema",
]
