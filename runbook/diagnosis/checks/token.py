"""Hop token: what is in the token that Keycloak gives."""

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.facts import Facts, saw


def _names_tenant(facts: Facts) -> Finding:
    token, where = facts.token(), "claims of the access token"
    if token.tenant_id is None:
        seen = saw(where, f"no tenant_id among {', '.join(sorted(token.claims))}")
        return broken(seen, client=facts.target.keycloak.client_id)
    return Ok((saw(where, f"tenant_id={token.tenant_id}"),))


CHECKS = (
    Check(
        code="TOKEN_TENANT",
        hop="token",
        claim="The token names the tenant",
        diagnosis="The token has no claim tenant_id",
        sign="the claim is not in the decoded token",
        fix="add a mapper to the client {client} that puts tenant_id into the access token",
        needs=("KC_USER",),
        run=_names_tenant,
    ),
)
