"""The ids of topics: a topic that is deleted and made anew keeps its name, and nothing else."""

from collections.abc import Collection, Mapping

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from sink.properties import Properties


def topic_ids(properties: Properties, topics: Collection[str], timeout_s: float) -> Mapping[str, str]:
    """Return the ids that Kafka tells. A consumer is not told them, so this asks with a client of its own.

    Its connection is not kept: it is asked when partitions are assigned, which is seldom.
    """
    found: dict[str, str] = {}
    client = AdminClient(dict(properties))  # held until the answers are there, else they never come
    for topic, answer in client.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_s).items():
        try:
            found[topic] = str(answer.result().topic_id)  # comes in any case: librdkafka gives up after the timeout
        except KafkaException:
            continue
    return found
