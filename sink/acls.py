"""Which ACL a refused request takes: Kafka's authorizer names neither the operation nor always the resource."""

from collections.abc import Sequence

from confluent_kafka import KafkaError


def acl_of_the_consumer(error: KafkaError, topics: Sequence[str], group_id: str) -> str:
    """Return what to add to the log line of an error of the consumer; nothing where no ACL is missing."""
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return f"; the sink needs the ACL Read on topic {' and on topic '.join(topics)}"
    if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
        return f"; the sink needs the ACL Read on group {group_id}"
    return ""


def acl_of_the_producer(error: KafkaError, topic: str) -> str:
    """Return the same of an error of a producer."""
    is_refused = error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    return f"; the sink needs the ACL Write on topic {topic}" if is_refused else ""
