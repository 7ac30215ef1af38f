"""The sink with a memory leak: `python leaking_sink.py`. The simulated day must find it."""

import sys

import sink.__main__ as service
from sink import consumer
from sink.batches import Batch

KEPT: list[Batch] = []


class KeptBatch(Batch):
    """Wrong on purpose: it is never freed."""

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        KEPT.append(self)


if __name__ == "__main__":
    consumer.Batch = KeptBatch
    sys.exit(service.main())
