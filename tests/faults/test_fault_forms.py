"""The same faults in another form: what tells them apart is the fault, not the way in which it was injected."""

import pytest

from runbook.local_stack.fault_injection import Injection
from tests.faults.fault_stack import FORMS, Installation, is_named_alone_and_mended

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(("code", "inject"), FORMS.items(), ids=FORMS)
def test_a_fault_in_another_form_is_named_alone_and_mended(ready: Installation, code: str, inject: Injection) -> None:
    """The first broken hop is the fault, with evidence and a fix; no second diagnosis; mended, it is healthy."""
    is_named_alone_and_mended(ready, code, inject)
