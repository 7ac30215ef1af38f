"""The ids of topics: a topic that is deleted and recreated has the same name and another id."""

from collections.abc import Collection, Mapping

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from sink.properties import Properties


def topic_ids(properties: Properties, topics: Collection[str], timeout_s: float) -> Mapping[str, str]:
    """Return the ids by topic, as far as Kafka answers. A consumer cannot ask, so this creates an admin client.

    Its connection is closed again: partitions are seldom assigned.
    """
    found: dict[str, str] = {}
    client = AdminClient(dict(properties))  # referenced until the answers are there, else they never come
    for topic, answer in client.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_s).items():
        try:
            found[topic] = str(
                answer.result().topic_id
            )  # there is always an answer: librdkafka gives up after the timeout
        except KafkaException:
            continue
    return found
