"""The settings that every server has which is spoken to by HTTP: who we are there, and how its TLS is checked."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from runbook.systems.settings_group import NO_QUERY, Login, ServiceGroup
from runbook.systems.tls import Tls, check_certificates, check_key

_OF_TLS: Final = ("ca_file", "client_cert", "client_key", "insecure")
Address = Annotated[str, Login("username", "password"), NO_QUERY]
"""A base address, with its path prefix; user and password in it are moved to settings of their own."""


def _of_one_word(token: SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if token else ""
    if not text.isascii() or any(not character.isprintable() or character.isspace() for character in text):
        raise ValueError("holds what no token holds: a space, a line break or a letter outside ASCII")
    return token


Token = Annotated[SecretStr | None, AfterValidator(_of_one_word)]
"""A bearer token; an empty one counts as none."""


class HttpSettings(ServiceGroup):
    """A server that is spoken to by HTTP, or by HTTPS where its address says so."""

    ca_file: Path | None = Field(
        None,
        description="PEM file of the CA that signed its certificate; unset: `REQUESTS_CA_BUNDLE`, `SSL_CERT_FILE`, "
        "or else the CAs of the system",
        examples=["/etc/ssl/private-ca.pem"],
    )
    client_cert: Path | None = Field(
        None, description="PEM file of the certificate that we show it", examples=["/etc/ssl/client.pem"]
    )
    client_key: Path | None = Field(
        None,
        description="PEM file of that certificate's key, without a passphrase; unset: the key is in `client_cert`",
        examples=["/etc/ssl/client.key"],
        validate_default=True,
    )
    insecure: bool = Field(default=False, description="true: any certificate is believed; each command then warns")

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, path: Path | None) -> Path | None:
        if path:
            check_certificates(path)
        return path

    @field_validator("client_key")
    @classmethod
    def _fits_the_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("client_cert")
        if certificate:
            check_key(certificate, key)
        elif key:
            raise ValueError("is set without client_cert, the certificate that it belongs to")
        return key

    @property
    def tls(self) -> Tls:
        """How TLS is spoken to it."""
        return Tls(
            ca_file=self.ca_file,
            client_cert=self.client_cert,
            client_key=self.client_key,
            insecure=self.insecure,
            places={name: self.place_of(name) for name in _OF_TLS},
        )

    def bearer(self, part: str = "") -> str:
        """Return the token; empty where there is none."""
        token: SecretStr | None = getattr(self, f"{part}token")
        return token.get_secret_value() if token else ""

    def login_places(self, part: str = "") -> str:
        """Return how a fix names the settings that say who we are there."""
        username, password, token = (
            self.place_of(f"{part}{name}") for name in ("username", "password_file", "token_file")
        )
        return f"{token}, or {username} and {password}"

    @property
    def warning(self) -> str:
        """What to tell the operator of these settings; empty where nothing is to be told."""
        name = self.place_of("insecure")
        return f"{name} is true: whoever answers there is believed, and may read what is sent" if self.insecure else ""


class LoginSettings(HttpSettings):
    """Such a server that may ask who we are: a user with a password, or a bearer token, which goes first."""

    username: str = Field("", description="user, where it asks for one (basic authentication)")
    password: SecretStr | None = Field(None, description="that user's password")
    token: Token = Field(None, description="bearer token; with one, neither user nor password is sent")
