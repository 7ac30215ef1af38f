"""Hop token: what is in the token that Keycloak gives, and what the gateway says of it."""

from datetime import datetime, timedelta
from typing import Final

from runbook.diagnosis.check import Check, Finding, Ok, broken
from runbook.diagnosis.checks.gateway import probe, probe_seen
from runbook.diagnosis.facts import Facts, saw

_CLAIMS: Final = "claims of the access token"
_APART: Final = timedelta(seconds=30)  # more than what lies between the login and the request


def _names_tenant(facts: Facts) -> Finding:
    token = facts.token()
    if token.tenant_id is None:
        seen = saw(_CLAIMS, f"no tenant_id among {', '.join(sorted(token.claims))}")
        return broken(seen, client=facts.target.keycloak.client_id)
    return Ok((saw(_CLAIMS, f"tenant_id={token.tenant_id}"),))


def _is_of_the_issuer(facts: Facts) -> Finding:
    answer, issuer = probe(facts), facts.token().issuer
    seen = probe_seen(facts, answer)
    if answer.code != "issuer":
        return Ok((seen,))
    return broken(seen, saw(_CLAIMS, f"iss={issuer}"), issuer=issuer, setting=facts.places)


def _is_in_time(facts: Facts) -> Finding:
    answer, token = probe(facts), facts.token()
    seen = probe_seen(facts, answer)
    if answer.code != "time":
        return Ok((seen,))
    times = saw(_CLAIMS, f"by Keycloak's clock iat {_shown(token.issued_at)}, exp {_shown(token.expires_at)}")
    date = saw("header Date of the gateway's answer", _shown(answer.date))
    return broken(seen, times, date, fix=_fix_of_times(token.issued_at, answer.date))


def _fix_of_times(issued_at: datetime | None, of_gateway: datetime | None) -> str:
    if issued_at and of_gateway and abs(of_gateway - issued_at) > _APART:
        apart_s = (of_gateway - issued_at).total_seconds()
        side = "ahead of" if apart_s > 0 else "behind"
        return f"set the clocks: that of the gateway is {abs(apart_s):.0f} s {side} Keycloak's"
    return "raise Access Token Lifespan of the realm in Keycloak, and compare the clocks of Keycloak and the gateway"


def _shown(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "unknown"


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
    Check(
        code="TOKEN_ISS",
        hop="token",
        claim="The token's issuer is the one that the gateway expects",
        diagnosis="The gateway expects tokens of another issuer than {issuer}",
        sign="the gateway answers 401 or 403 and names the issuer",
        fix="let both have one name for Keycloak: correct the issuer that the gateway expects, or Keycloak's public "
        "hostname (KC_HOSTNAME), or {setting:keycloak.url}, by which the token was asked for",
        needs=("TOKEN_TENANT", "GW_LIMIT"),
        run=_is_of_the_issuer,
    ),
    Check(
        code="TOKEN_TIME",
        hop="token",
        claim="The gateway finds the token's times right",
        diagnosis="The gateway finds a token that was just given expired, or not valid yet",
        sign="the gateway answers 401 or 403 and names its times; iat and exp against the Date of its answer",
        fix="{fix}",
        needs=("TOKEN_ISS",),
        run=_is_in_time,
    ),
)
