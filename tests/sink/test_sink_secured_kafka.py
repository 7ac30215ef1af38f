"""TLS and logins of Apache Kafka: what they need, and what the sink says, or keeps to itself, if one is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pytest
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from runbook.errors import RunbookError
from tests.sink.certificates import KEY_PASSWORD, Identity, new_identity
from tests.sink.real_kafka import RealKafka
from tests.sink.sink_process import SinkProcess, event, wait_until

pytestmark = pytest.mark.real

PASSWORD: Final = "login-never-shown"  # noqa: S105  # of a broker that lives as long as the tests
TOPIC: Final = "leads"
EVENTS: Final = 5
SAYS_IT_AGAIN_S: Final = 30.0
_JAAS: Final = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """A broker with a topic of EVENTS events and one bad message, and what its clients need."""

    kafka: RealKafka
    broker: Identity
    client: Identity
    folder: Path

    def file(self, name: str, text: str) -> str:
        """Write a secret into a file, and return its path."""
        (self.folder / name).write_text(f"{text}\n")
        return str(self.folder / name)

    def login(self, **other: str) -> dict[str, str]:
        """Return the variables of a login over TLS; `other` takes the place of some."""
        return {
            "KAFKA_BOOTSTRAP": self.kafka.secured["SASL_SSL"],
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CA_LOCATION": str(self.broker.certificate),
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "KAFKA_SASL_USERNAME": "sink",
            "KAFKA_SASL_PASSWORD_FILE": self.file("password", PASSWORD),
            **other,
        }

    def mutual(self, **other: str) -> dict[str, str]:
        """Return the variables of TLS in which the client, too, shows a certificate."""
        return {
            "KAFKA_BOOTSTRAP": self.kafka.secured["SSL"],
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_LOCATION": str(self.broker.certificate),
            "KAFKA_SSL_KEYSTORE_LOCATION": str(self.client.keystore),
            "KAFKA_SSL_KEYSTORE_PASSWORD_FILE": self.file("key-password", KEY_PASSWORD),
            **other,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    try:
        broker, client = (new_identity(folder, name) for name in ("broker", "client"))
        kafka = RealKafka(_listeners(broker, client))
    except RunbookError as error:
        pytest.skip(f"no Kafka: {error.seen}")
    credential = UserScramCredentialUpsertion(
        "sink", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), PASSWORD.encode()
    )
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for answer in admin.alter_user_scram_credentials([credential]).values():
        answer.result(30)
    kafka.create(TOPIC, 2)
    kafka.send(TOPIC, [*[event("acme")] * EVENTS, b"{}"])
    yield Secured(kafka=kafka, broker=broker, client=client, folder=folder)
    kafka.close()


def _listeners(broker: Identity, client: Identity) -> Mapping[str, Mapping[str, str]]:
    """Return the properties of a listener with a login, and of one that asks for a certificate."""
    shown = {
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(broker.keystore),
        "ssl.keystore.password": KEY_PASSWORD,
    }
    return {
        "SASL_SSL": {
            **shown,
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN",
            "scram-sha-256.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
            "plain.sasl.jaas.config": f'{_JAAS}.plain.PlainLoginModule required user_sink="{PASSWORD}";',
        },
        "SSL": {
            **shown,
            "ssl.client.auth": "required",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(client.certificate),
        },
    }


@pytest.fixture
def secured_sink(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SinkProcess]:
    """The sink in a group of its own, not yet started; the test says where its broker is."""
    process = SinkProcess("", tmp_path / "stdout")
    process.env |= {"TOPICS": TOPIC, "GROUP_ID": request.node.name, "SINK_DLQ_TOPIC": "bad-leads"}
    yield process
    process.kill()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_login_over_tls(secured: Secured, secured_sink: SinkProcess, mechanism: str) -> None:
    """With the broker's CA and the password in a file, everything is counted; the dead letter goes the same way."""
    secured_sink.env |= secured.login(KAFKA_SASL_MECHANISM=mechanism)
    _counts_everything(secured_sink)


def test_mutual_tls(secured: Secured, secured_sink: SinkProcess) -> None:
    """With a key and certificate of its own, whose password is in a file, everything is counted."""
    secured_sink.env |= secured.mutual()
    _counts_everything(secured_sink)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("password", "SASL authentication error: Authentication failed during authentication due to invalid cred"),
        ("plain password", "SASL authentication error: Authentication failed: Invalid username or password"),
        ("CA", "broker certificate could not be verified, verify that ssl.ca.location is correctly configured"),
        ("no certificate of its own", "alert bad certificate"),
        ("no TLS", "with PLAINTEXT. If there is no other error, the broker closes the connection"),
        ("TLS to a plain port", "SSL connection closed by peer: connecting to a PLAINTEXT broker listener?"),
    ],
)
def test_refused(secured: Secured, secured_sink: SinkProcess, wrong: str, said: str) -> None:
    """Not ready, but alive, so that nobody restarts it in vain; the log says what is wrong, now and then only."""
    secured_sink.env |= _mistaken(secured, wrong)
    secured_sink.start()
    wait_until(lambda: any(said in line for line in secured_sink.lines()))
    assert secured_sink.page("/readyz") == (503, '{"ready":false,"reason":"Kafka is not connected"}')
    assert secured_sink.status("/health") == 503
    assert secured_sink.status("/livez") == 200
    _keeps_its_secrets(secured_sink, ends_with={0, 1})


def test_an_error_that_stays_is_said_now_and_then(secured: Secured, secured_sink: SinkProcess) -> None:
    """The client tries and fails many times a second: a line comes once in 10 s, with the number of the others."""
    secured_sink.env |= _mistaken(secured, "password")
    secured_sink.start()
    wait_until(lambda: len(_failures(secured_sink)) > 1, SAYS_IT_AGAIN_S)
    assert "messages of this kind omitted before" in _failures(secured_sink)[1]


def test_wrong_password_of_the_key(secured: Secured, secured_sink: SinkProcess) -> None:
    """A key that cannot be opened is found at the start: exit code 4, and the variable's name."""
    secured_sink.env |= secured.mutual(KAFKA_SSL_KEYSTORE_PASSWORD_FILE=secured.file("wrong", "wrong-never-shown"))
    secured_sink.start()
    assert secured_sink.ended() == 4
    said = secured_sink.stderr()
    assert "KAFKA_SSL_KEYSTORE_" in said
    assert "never-shown" not in said


def _mistaken(secured: Secured, wrong: str) -> dict[str, str]:
    """Return variables with one mistake."""
    mistaken = secured.file("wrong", "wrong-never-shown")
    own_ca = {"KAFKA_SSL_CA_LOCATION": str(secured.client.certificate)}  # which did not sign the broker's
    match wrong:
        case "password":
            return secured.login(KAFKA_SASL_PASSWORD_FILE=mistaken)
        case "plain password":
            return secured.login(KAFKA_SASL_PASSWORD_FILE=mistaken, KAFKA_SASL_MECHANISM="PLAIN")
        case "CA":
            return secured.login(**own_ca)
        case "no certificate of its own":
            return {name: value for name, value in secured.mutual().items() if "KEYSTORE" not in name}
        case "no TLS":
            return {"KAFKA_BOOTSTRAP": secured.kafka.secured["SASL_SSL"]}
        case _:
            return secured.login(KAFKA_BOOTSTRAP=secured.kafka.bootstrap)


def _counts_everything(sink: SinkProcess) -> None:
    sink.env["KAFKA_DEBUG"] = "all"
    sink.start_ready()
    wait_until(lambda: sink.samples().passed() == EVENTS + 1)
    assert sink.samples().ingested() == {("acme", TOPIC): EVENTS}
    assert sink.samples().rejected() == {(TOPIC, "missing_field"): 1.0}
    assert sink.samples().by_name["crm_events_dead_letters_total"][()] == 1
    assert "security.protocol" in _keeps_its_secrets(sink, ends_with={0})  # the trace does show the properties


def _keeps_its_secrets(sink: SinkProcess, *, ends_with: set[int]) -> str:
    """Look for a password in whatever others can read; end the sink, and return what it wrote to stderr."""
    process = psutil.Process(sink.pid)
    pages = [sink.page(path)[1] for path in ("/health", "/livez", "/readyz", "/events/latest")]
    shown = [*pages, str(sink.samples().by_name), *process.cmdline(), str(process.environ())]
    assert sink.stop() in ends_with
    stderr = sink.stderr()
    assert "never-shown" not in "".join([*shown, *sink.lines(), stderr])
    return stderr


def _failures(sink: SinkProcess) -> list[str]:
    return [line for line in sink.lines() if "SASL authentication error" in line]
