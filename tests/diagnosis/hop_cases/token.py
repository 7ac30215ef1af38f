"""The cases of hop token: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.facts import Facts
from tests.diagnosis.cases import Case
from tests.diagnosis.recorded import (
    given,
    refused,
    token,
)

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
