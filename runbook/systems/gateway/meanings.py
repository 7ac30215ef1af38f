"""What the answers of the edge proxy, of the gateway and of ApexFlow mean. Statuses: the facts of the field."""

from typing import Final

from runbook.systems.http_meaning import HTML, Meaning

_REFUSED: Final = (401, 403)
_NO_JSON: Final = r"\A(?!\S*json)"
_TOKEN_REFUSED: Final = "The gateway refused the token"  # noqa: S105 - words
_NO_KEY: Final = "The gateway cannot check the token: it lacks the key that signed it"
_ASK_FOR_KEYS: Final = (
    "see that the gateway reaches Keycloak and asks the realm of the token for its keys, then restart the gateway"
)
_LOOK: Final = "{troubleshoot}"

GATEWAY_MEANINGS: Final = (
    Meaning(
        code="no_route",
        statuses=(404,),
        says=_NO_JSON,  # Traefik answers an unknown Host with plain text; the API behind it answers JSON
        words="No route for the host {host}",
        fix="set {host_place} to the name that the edge proxy routes",
    ),
    Meaning(
        code="not_found",
        statuses=(404,),
        words="The API has no such lead",
        fix="create the lead first, with the same user",
    ),
    Meaning(
        code="proxy_login",
        statuses=(401, 407),
        says=r"\n(basic|digest|negotiate|ntlm)",
        words="The edge proxy asks for a login of its own, before the gateway is asked",
        fix="let the edge proxy pass requests for {host} on without a login: the gateway checks their tokens",
    ),
    Meaning(
        code="tenant_required",
        statuses=(400,),
        says="tenant required",
        words="The token names no tenant",
        fix="add the tenant_id mapper to the client in Keycloak",
    ),
    Meaning(
        code="issuer",
        statuses=_REFUSED,
        says=r"\b(issuer|iss)\b",
        words=f"{_TOKEN_REFUSED} because of its issuer",
        fix=_LOOK,
    ),
    Meaning(
        code="time",
        statuses=_REFUSED,
        says=r"expired|not (yet )?active|not yet valid|used before|in the future|\b(exp|nbf|iat)\b",
        words=f"{_TOKEN_REFUSED} because of its times",
        fix=_LOOK,
    ),
    Meaning(
        code="audience",
        statuses=_REFUSED,
        says=r"\b(audience|aud|azp)\b|authorized party",
        words=f"{_TOKEN_REFUSED} because of its audience",
        fix="add an audience mapper to the client in Keycloak that puts the audience of the gateway into the token",
    ),
    Meaning(
        code="keys",
        statuses=_REFUSED,
        says=r"signature|\b(unknown|signing|public) key|\b(kid|jwks?|certs)\b",
        words=_NO_KEY,
        fix=_ASK_FOR_KEYS,
    ),
    Meaning(  # stricter, because a database speaks of keys, too
        code="keys",
        statuses=range(500, 600),
        says=r"\bkeys of\b|\b(signing|public) keys?\b|\b(jwks?|certs)\b",
        words=_NO_KEY,
        fix=_ASK_FOR_KEYS,
    ),
    Meaning(code="unauthorized", statuses=(401,), words=_TOKEN_REFUSED, fix=_LOOK),
    Meaning(
        code="forbidden",
        statuses=(403,),
        words="The gateway does not allow this with the token",
        fix=_LOOK,
    ),
    Meaning(
        code="limited",
        statuses=(429,),
        words="The edge proxy or the gateway takes no more requests for now",
        fix="wait a minute, then again; or raise the limit of the edge proxy for {host}",
    ),
    Meaning(code="duplicate", statuses=(409,), words="It already exists", fix=_LOOK),
    Meaning(code="invalid", statuses=(422,), words="The API refused the data", fix=_LOOK),
    Meaning(code="bad_request", statuses=(400,), words="The API refused the request", fix=_LOOK),
    Meaning(
        code="redirect",
        statuses=range(300, 400),
        words="The edge proxy leads elsewhere, such as to a login page",
        fix="set {address} to where it leads if that is the gateway; else let the route of {host} end there",
    ),
    Meaning(
        code="page",
        statuses=range(200, 300),
        says=HTML,
        words="A page for people came, such as a login page, instead of the gateway's answer",
        fix="let the edge proxy's route for {host} lead to the gateway, without a login page before it",
    ),
    Meaning(
        code="upstream",
        statuses=(502, 503, 504),
        says=_NO_JSON,
        words="The edge proxy got no answer from the gateway, or the gateway no answer from ApexFlow",
        fix=_LOOK,
    ),
    Meaning(code="upstream", statuses=(502, 503, 504), words="The gateway got no answer from ApexFlow", fix=_LOOK),
    Meaning(code="server_error", statuses=range(400, 600), words="The API failed", fix=_LOOK),
)
