"""The recorded facts are of one moment: it is now for every check, however late a test comes to its turn."""

import pytest
from recorded import NOW

from runbook.diagnosis import facts
from runbook.diagnosis.checks import kafka, panels


@pytest.fixture(autouse=True)
def at_the_recorded_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (facts, kafka, panels):
        monkeypatch.setattr(module, "now", lambda: NOW)
