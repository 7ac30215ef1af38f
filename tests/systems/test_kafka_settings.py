"""How Kafka's settings of their own come to librdkafka."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from runbook.errors import UsageError
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.settings import KafkaSettings

PASSWORD = SecretStr("correct-horse")


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        (KafkaSettings(), "PLAINTEXT"),
        (KafkaSettings(ca_file=Path("ca.pem")), "SSL"),
        (KafkaSettings(client_cert=Path("client.pem")), "SSL"),
        (KafkaSettings(username="runbook", password=PASSWORD), "SASL_SSL"),
        (KafkaSettings(username="runbook", security_protocol="SASL_PLAINTEXT"), "SASL_PLAINTEXT"),
        (KafkaSettings(options={"security.protocol": SecretStr("ssl")}), "ssl"),
    ],
)
def test_protocol_is_what_the_other_settings_ask_for(settings: KafkaSettings, protocol: str) -> None:
    """A password goes out in the clear only where that is asked for."""
    assert settings.librdkafka()["security.protocol"] == protocol


def test_settings_have_the_names_of_librdkafka() -> None:
    settings = KafkaSettings(
        username="runbook",
        password=PASSWORD,
        sasl_mechanism="SCRAM-SHA-512",
        ca_file=Path("ca.pem"),
        client_cert=Path("client.pem"),
        client_key=Path("client.key"),
        client_key_password=SecretStr("of-the-key"),
        options={"socket.keepalive.enable": SecretStr("true"), "sasl.username": SecretStr("another")},
    )

    assert settings.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "another",
        "sasl.password": "correct-horse",
        "ssl.ca.location": "ca.pem",
        "ssl.certificate.location": "client.pem",
        "ssl.key.location": "client.key",
        "ssl.key.password": "of-the-key",
        "socket.keepalive.enable": "true",
    }


def test_lower_case_is_understood_and_a_wrong_word_is_not() -> None:
    settings = KafkaSettings.model_validate({"security_protocol": "sasl_ssl", "sasl_mechanism": "scram-sha-256"})
    assert (settings.security_protocol, settings.sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-256")

    with pytest.raises(ValidationError, match="security_protocol"):
        KafkaSettings.model_validate({"security_protocol": "TLS"})


@pytest.mark.outside
@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        (KafkaSettings(ca_file=Path("/no/such/ca.pem")), "_CA_FILE"),
        (KafkaSettings(options={"no.such": SecretStr("option")}), "_OPTIONS"),
        (
            KafkaSettings(options={"ssl.ca.location": SecretStr("/no"), "security.protocol": SecretStr("ssl")}),
            "_OPTIONS",
        ),
    ],
)
def test_setting_that_librdkafka_refuses_is_named(settings: KafkaSettings, variable: str) -> None:
    with pytest.raises(UsageError, match=f"Fix: correct [A-Z_]*{variable}$") as caught, Kafka(settings) as kafka:
        kafka.metadata()

    assert "librdkafka refuses the settings" in caught.value.seen
