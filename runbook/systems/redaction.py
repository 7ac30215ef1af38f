"""Texts of others without our secrets: an error page may quote the request that it was asked with."""

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text of others without our secrets, in case it echoes what we sent."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def secret_forms(*secrets: str) -> tuple[str, ...]:
    """Return the secrets as they are and as forms, URLs, JSON and HTML write them.

    The longest comes first, so that no part of one is left standing.
    """
    forms = {
        form
        for secret in secrets
        if secret
        for form in (
            secret,
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            escape(secret),
        )
    }
    return tuple(sorted(forms, key=len, reverse=True))


def login_texts(username: str, password: str) -> tuple[str, str]:
    """Return the two texts that are secret of a login: the password, and both as basic authentication sends them."""
    return password, base64.b64encode(f"{username}:{password}".encode()).decode()
