"""The cases of hop proxy: what breaks each check, and what keeps it from being looked at."""

from runbook.diagnosis.checks import gateway
from tests.diagnosis.cases import container_cases
from tests.diagnosis.recorded import PROXY, silent

CASES = container_cases(
    "proxy", PROXY, silent(gateway.unauthenticated_answer, gateway.probe), gateway.unauthenticated_answer
)
