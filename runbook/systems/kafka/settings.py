"""Kafka: where it is, and who we are there."""

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr

from runbook.systems.settings_group import ServiceGroup, plain_address

_LOGIN_INSTEAD = plain_address("holds a user or a password: give them as username and password")


_LIBRDKAFKA: Final = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "username",
    "sasl.password": "password",
    "ssl.ca.location": "ca_file",
    "ssl.certificate.location": "client_cert",
    "ssl.key.location": "client_key",
    "ssl.key.password": "client_key_password",
}
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _read_json(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("is not JSON") from None  # whose own message could quote a password


class KafkaSettings(ServiceGroup):
    """The broker, as this host reaches it, and the topics of the two events."""

    bootstrap: Annotated[str, _LOGIN_INSTEAD] = Field(
        "localhost:19092", description="host:port of the outside listener"
    )
    group: str = Field("crm-events-sink", description="the sink's consumer group")
    lead_topic: str = Field("apexflow.leads.created", description="topic of lead.created")
    job_topic: str = Field("apexflow.jobs.created", description="topic of job.created")
    security_protocol: Annotated[Protocol | None, BeforeValidator(_upper)] = Field(
        None,
        description="unset: SASL_SSL with a username, SSL with a ca_file or client_cert, else PLAINTEXT",
        examples=["SASL_SSL"],
    )
    sasl_mechanism: Annotated[Mechanism, BeforeValidator(_upper)] = Field(
        "PLAIN", description="how the username logs in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    username: str = Field("", description="user, where the brokers ask for one (SASL)")
    password: SecretStr | None = Field(None, description="that user's password")
    ca_file: Path | None = Field(
        None,
        description="PEM file of the CA that signed the brokers' certificates; unset: the CAs of the system",
        examples=["/etc/ssl/private-ca.pem"],
    )
    client_cert: Path | None = Field(
        None, description="PEM file of the certificate that we show them", examples=["/etc/ssl/client.pem"]
    )
    client_key: Path | None = Field(
        None, description="PEM file of that certificate's key", examples=["/etc/ssl/client.key"]
    )
    client_key_password: SecretStr | None = Field(None, description="passphrase of that key, where it has one")
    options: Annotated[dict[str, SecretStr], BeforeValidator(_read_json)] = Field(
        default_factory=dict,
        description="further librdkafka settings, which go before those above, in a variable as JSON",
        examples=[{"socket.keepalive.enable": "true"}],
    )
    service: str = Field("kafka", description="compose service")
    container: str = Field("kafka", description="container name")

    def librdkafka(self) -> dict[str, str]:
        """Return how we speak to the brokers, in librdkafka's words; `options` go before the settings of their own."""
        protocol = self.security_protocol or self._protocol_of_the_others
        found = {name: _text(getattr(self, setting)) for name, setting in _LIBRDKAFKA.items()}
        found["security.protocol"] = protocol
        if not protocol.startswith("SASL"):
            del found["sasl.mechanism"]
        options = {name: value.get_secret_value() for name, value in self.options.items()}
        return {name: value for name, value in found.items() if value} | options

    def places_in(self, text: str) -> str:
        """Return the places of the settings that librdkafka names in a text, else that of `options`."""
        named = [setting for name, setting in _LIBRDKAFKA.items() if name in text and name not in self.options]
        return ", ".join(self.place_of(setting) for setting in named or ["options"])

    @property
    def _protocol_of_the_others(self) -> Protocol:
        """What the other settings ask for; a password never goes out in the clear unasked."""
        if self.username:
            return "SASL_SSL"
        return "SSL" if self.ca_file or self.client_cert else "PLAINTEXT"


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
