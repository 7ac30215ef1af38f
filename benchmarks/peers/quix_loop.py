"""Quix Streams with its JSON decoding and one function per event, which writes a byte to stdout."""

import sys
from collections.abc import Sequence
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]  # lives in the peers' own environment
from quixstreams.models.topics import (  # type: ignore[import-not-found]  # the same
    TopicAdmin,
    TopicConfig,
    TopicManager,
)


class Topics(TopicAdmin):  # type: ignore[misc]  # Quix has no types here
    """What Quix asks of a broker's controller before it starts; librdkafka's mock broker has none."""

    def inspect_topics(self, topic_names: Sequence[str], timeout: float = 30) -> dict[str, Any]:
        """Answer from the metadata alone."""
        seen = self.list_topics(timeout=timeout)
        return {
            name: TopicConfig(num_partitions=len(seen[name].partitions), replication_factor=1, extra_config={})
            for name in topic_names
        }


def main(state: str, bootstrap: str, group: str, idle_s: str, *topics: str) -> None:
    """Process until nothing has come for a while."""
    application = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        topic_manager=TopicManager(Topics(bootstrap), group, auto_create_topics=False),
        state_dir=state,
        consumer_extra_config={"fetch.wait.max.ms": 100},
        loglevel="ERROR",
    )
    for name in topics:
        application.dataframe(application.topic(name, value_deserializer="json")).update(_count)
    application.run(timeout=float(idle_s))


def _count(_: object) -> None:
    sys.stdout.write(".")


if __name__ == "__main__":
    main(*sys.argv[1:])
