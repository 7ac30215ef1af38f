"""Apache Kafka with its authorizer: users who log in over SASL/PLAIN and may do what their ACLs say, nothing else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.sink.real_kafka import RealKafka
from tests.sink.sink_process import wait_until

LISTENER: Final = "SASL_PLAINTEXT"
PASSWORD: Final = "of-the-acl-users"  # noqa: S105 - of a broker that lives as long as the tests
USERS: Final = ("runbook", "sink")
_ANSWER_S: Final = 30
_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_TYPES: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}

Rule = tuple[str, str, str]
"""Operation, "topic" or "group", and its name."""


def guarded_kafka() -> RealKafka:
    """Start a broker whose plain listener may do everything, and whose other one only what ACLs allow."""
    known = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    return RealKafka(
        {LISTENER: {"sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": f"{_LOGIN} {known};"}},
        {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
    )


class Acls:
    """The ACLs of one user."""

    def __init__(self, bootstrap: str, user: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._user = f"User:{user}"

    @contextmanager
    def only(self, rules: Iterable[Rule]) -> Iterator[None]:
        """Have these, and no others, as long as the block lasts."""
        bindings = [self._binding(*rule) for rule in rules]
        for added in self._admin.create_acls(bindings).values() if bindings else ():
            added.result(_ANSWER_S)
        wait_until(lambda: self._count() == len(bindings))
        try:
            yield
        finally:
            for removed in self._admin.delete_acls([self._every]).values():
                removed.result(_ANSWER_S)
            wait_until(lambda: self._count() == 0)

    def _count(self) -> int:
        return len(self._admin.describe_acls(self._every).result(_ANSWER_S))

    @property
    def _every(self) -> AclBindingFilter:
        return AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]  # any name; the SDK's own documentation has None
            ResourcePatternType.ANY,
            self._user,
            None,  # type: ignore[arg-type]  # any host
            AclOperation.ANY,
            AclPermissionType.ANY,
        )

    def _binding(self, operation: str, kind: str, name: str) -> AclBinding:
        return AclBinding(
            _TYPES[kind],
            name,
            ResourcePatternType.LITERAL,
            self._user,
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
