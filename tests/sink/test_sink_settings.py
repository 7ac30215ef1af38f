"""Settings are checked at start, and every refusal names the variable, its value and what it must be."""

from pathlib import Path

import pytest

from sink.environment import SettingsError
from sink.settings import load_settings


def test_defaults() -> None:
    """An empty environment, or one of empty variables, gives the defaults of the compose file in the field."""
    settings = load_settings({})
    assert settings == load_settings({"KAFKA_BOOTSTRAP": "", "TOPICS": " ", "PROM_PORT": "", "KAFKA_DEBUG": ""})
    assert settings.kafka_bootstrap == "kafka:9092"
    assert settings.group_id == "crm-events-sink"
    assert settings.topics == ("apexflow.leads.created", "apexflow.jobs.created")
    assert (settings.bind, settings.prom_port, settings.http_port) == ("127.0.0.1", 9105, 9106)
    assert settings.log_events
    assert settings.max_tenants == 10_000
    assert settings.dlq_topic == "crm-events-sink.dlq"
    assert (settings.journal.kind, settings.journal.path) == ("sqlite", Path("crm-events-sink.sqlite"))
    assert not settings.journal.stores_messages
    assert settings.api_token == ""


def test_everything_set() -> None:
    """Every variable of the contract arrives; service links of Kubernetes are no librdkafka properties."""
    settings = load_settings(
        {
            "KAFKA_BOOTSTRAP": "a:9092, SASL_SSL://b.example:9093,[::1]:9092",
            "GROUP_ID": "other",
            "TOPICS": "one, two",
            "PROM_PORT": "1",
            "HTTP_PORT": "65535",
            "SINK_BIND": "::",
            "SINK_LOG_EVENTS": "none",
            "SINK_MAX_TENANTS": "5",
            "SINK_DLQ_TOPIC": "",
            "SINK_JOURNAL": "none",
            "POSTGRES_DSN": "postgresql://sink:secret@db/sink",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_LOG_LEVEL": "6",
            "KAFKA_SERVICE_HOST": "10.0.0.1",
            "KAFKA_PORT": "tcp://10.0.0.1:9092",
            "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        }
    )
    assert settings.topics == ("one", "two")
    assert settings.bind == "::"
    assert not settings.log_events
    assert settings.dlq_topic == ""
    assert settings.journal.kind == "none"
    assert settings.kafka == {"security.protocol": "SASL_SSL", "log_level": "6"}


def test_secret_from_a_file(tmp_path: Path) -> None:
    """A secret may come from a file; other properties that end in _FILE are what they say; nothing shows in repr."""
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    settings = load_settings(
        {"KAFKA_SASL_PASSWORD_FILE": str(secret), "KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE": "/key"}
    )
    assert settings.kafka == {
        "sasl.password": "s3cret",
        "sasl.oauthbearer.assertion.private.key.file": "/key",
    }
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("env", "kind", "stores_messages"),
    [
        ({}, "sqlite", False),
        ({"SINK_JOURNAL": "sqlite:/data/j.db", "SINK_JOURNAL_EVENTS": "rows"}, "sqlite", True),
        ({"POSTGRES_DSN": "postgresql://sink:pw@db/sink"}, "postgres", True),
        ({"POSTGRES_DSN": "host=db password=pw"}, "postgres", True),
        ({"POSTGRES_DSN": "postgresql://sink:pw@db/sink", "SINK_JOURNAL_EVENTS": "counts"}, "postgres", False),
        ({"SINK_JOURNAL": "postgres://db/sink"}, "postgres", False),
        ({"SINK_JOURNAL": "none", "POSTGRES_DSN": "postgresql://sink:pw@db/sink"}, "none", False),
    ],
)
def test_which_journal(env: dict[str, str], kind: str, *, stores_messages: bool) -> None:
    """SINK_JOURNAL goes before POSTGRES_DSN; with that alone messages are kept, as they were; no password in repr."""
    settings = load_settings(env)
    assert (settings.journal.kind, settings.journal.stores_messages) == (kind, stores_messages)
    assert "pw" not in repr(settings)


def test_journal_from_a_file(tmp_path: Path) -> None:
    """The address may come from a file, for it may hold a password."""
    (tmp_path / "dsn").write_text("postgresql://sink:pw@db/sink\n")
    journal = load_settings({"SINK_JOURNAL_FILE": str(tmp_path / "dsn")}).journal
    assert (journal.kind, journal.dsn) == ("postgres", "postgresql://sink:pw@db/sink")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PROM_PORT": "0"}, "PROM_PORT is '0'; it must be a whole number from 1 to 65535"),
        ({"HTTP_PORT": "٣"}, "HTTP_PORT is '٣'; it must be a whole number from 1 to 65535"),
        ({"HTTP_PORT": "9105"}, "HTTP_PORT is 9105, and so is PROM_PORT; they must differ"),
        ({"SINK_BIND": "everywhere"}, "SINK_BIND is 'everywhere'; it must be an IP address"),
        ({"SINK_LOG_EVENTS": "some"}, "SINK_LOG_EVENTS is 'some'; it must be all or none"),
        ({"SINK_MAX_TENANTS": "-1"}, "SINK_MAX_TENANTS is '-1'; it must be a whole number"),
        ({"KAFKA_BOOTSTRAP": "a:1,,b:2"}, "KAFKA_BOOTSTRAP is 'a:1,,b:2'; it must be host:port"),
        ({"TOPICS": "a,a"}, "TOPICS is 'a,a'; it must be different topic names"),
        ({"TOPICS": "^apexflow.*"}, "TOPICS is '^apexflow.*'; it must be"),
        (
            {"TOPICS": "a", "SINK_DLQ_TOPIC": "a"},
            "SINK_DLQ_TOPIC is 'a'; it must be a topic name that is not in",
        ),
        ({"SINK_JOURNAL": "mysql://u:pw@db/x"}, "SINK_JOURNAL starts with 'mysql'; it must be sqlite:PATH, postgresql"),
        ({"SINK_JOURNAL": "user=u password=pw"}, "SINK_JOURNAL starts with 'something else'; it must be sqlite:PATH"),
        ({"POSTGRES_DSN": "sqlite:pw"}, "POSTGRES_DSN starts with 'sqlite'; it must be postgresql://"),
        ({"SINK_JOURNAL_EVENTS": "all"}, "SINK_JOURNAL_EVENTS is 'all'; it must be counts or rows"),
        ({"KAFKA_GROUP_ID": "x"}, "KAFKA_GROUP_ID is set; it must not be: set GROUP_ID instead"),
        ({"KAFKA_SASL_PASSWORD_FILE": "/no/such"}, "KAFKA_SASL_PASSWORD_FILE is '/no/such'; it must be a readable"),
    ],
)
def test_refused(env: dict[str, str], said: str) -> None:
    """A wrong value is refused in these words; a password is not among them."""
    with pytest.raises(SettingsError) as refusal:
        load_settings(env)
    assert str(refusal.value).startswith(said)
    assert "pw" not in str(refusal.value)


def test_secret_twice_or_unreadable(tmp_path: Path) -> None:
    """A secret that is given twice, or is no text, is refused without showing it."""
    secret = tmp_path / "password"
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"KAFKA_SASL_PASSWORD_FILE .* not UTF-8"):
        load_settings({"KAFKA_SASL_PASSWORD_FILE": str(secret)})
    secret.write_text("s3cret")
    with pytest.raises(SettingsError, match="KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set"):
        load_settings({"KAFKA_SASL_PASSWORD_FILE": str(secret), "KAFKA_SASL_PASSWORD": "x"})
