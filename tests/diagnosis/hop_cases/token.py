"""The cases of hop token: what breaks each check, and what keeps it from being looked at."""

from cases import Case
from recorded import (
    given,
    refused,
    token,
)

from runbook.diagnosis.facts import Facts

CASES = (
    Case(
        hop="token",
        code="TOKEN_TENANT",
        broken=given(Facts.token, token(None)),
        unseen=given(Facts.token, refused()),
        says="no tenant_id",
        fix="mapper",
    ),
)
