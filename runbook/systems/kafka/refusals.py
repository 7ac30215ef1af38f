"""A broker that answers with no: a missing ACL, a refused login, another TLS. It is not down, and its words say little.

Kafka's authorizer names neither the operation nor the resource; the command that adds the ACL does.
"""

from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka import KafkaError

from runbook.errors import AnswerError
from runbook.systems.kafka.settings import KafkaSettings

# librdkafka's own codes are public, whatever their underscore says; the others are the Kafka protocol's.
TOPIC_REFUSED: Final = KafkaError.TOPIC_AUTHORIZATION_FAILED
GROUP_REFUSED: Final = KafkaError.GROUP_AUTHORIZATION_FAILED
_LOGIN_REFUSED: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})  # noqa: SLF001 - see above
_TLS_FAILED: Final = KafkaError._SSL  # noqa: SLF001 - see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """One operation on one topic or group. In Kafka's authorizer, Read implies Describe."""

    operation: Literal["Read", "Describe"]
    resource: Literal["topic", "group"]
    name: str

    def __str__(self) -> str:
        """Return it as a sentence has it: `Read on topic NAME`."""
        return f"{self.operation} on {self.resource} {self.name}"

    def adding(self, bootstrap: str, user: str) -> str:
        """Return the command of Kafka's own distribution that adds it."""
        who = f"--add --allow-principal User:{user}"
        what = f"--operation {self.operation} --{self.resource} {self.name}"
        return f"kafka-acls.sh --bootstrap-server {bootstrap} {who} {what}"


def refusal(
    error: KafkaError, settings: KafkaSettings, *, what: str, topic: str, said: str, where: str
) -> AnswerError | None:
    """Return, for the caller to raise, the error of a request that was refused; None for any other error.

    `topic` is what was asked for, where that was a topic; `said` is the error's own text without secrets.
    """
    user = settings.librdkafka().get("sasl.username", "")
    acl = _missing_acl(error, topic=topic, group=settings.group)
    if acl:
        seen = f"Kafka does not allow this to {user or 'us'} ({what}): it takes the ACL {acl}"
        fix, code = acl.adding(settings.bootstrap, user or "NAME"), "forbidden"
    elif error.code() in _LOGIN_REFUSED:
        names = ", ".join(settings.place_of(name) for name in ("username", "password", "sasl_mechanism"))
        seen, fix, code = f"Kafka refused the login of {user}: {said}", f"correct {names}", "unauthorized"
    elif error.code() == _TLS_FAILED:
        protocol = settings.place_of("security_protocol")
        fix = f"set {settings.place_of('ca_file')} to the CA of the brokers, or correct {protocol}"
        seen, code = f"Kafka and we do not agree on TLS: {said}", "tls"
    else:
        return None
    return AnswerError(seen, where=where, fix=fix, status=0, code=code)


def _missing_acl(error: KafkaError, *, topic: str, group: str) -> Acl | None:
    if error.code() == TOPIC_REFUSED:
        return Acl(operation="Read", resource="topic", name=topic)
    if error.code() == GROUP_REFUSED:
        return Acl(operation="Describe", resource="group", name=group)
    return None
