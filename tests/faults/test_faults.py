"""Each fault as `stack.break` injects it: named alone, mended, healthy again."""

import pytest

from runbook.local_stack.fault_injection import Injection
from tests.faults.fault_stack import SHIPPED, Installation, is_named_alone_and_mended

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(("code", "inject"), SHIPPED.items(), ids=SHIPPED)
def test_a_fault_is_named_alone_and_mended(ready: Installation, code: str, inject: Injection) -> None:
    """The first broken hop is the fault, with evidence and a fix; no second diagnosis; mended, it is healthy."""
    is_named_alone_and_mended(ready, code, inject)
