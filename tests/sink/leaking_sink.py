"""The sink with a leak: `python leaking_sink.py`. It lets go of nothing; the simulated day must see it."""

import sys

import sink.__main__ as service
from sink import consumer
from sink.batches import Batch

KEPT: list[Batch] = []


class KeptBatch(Batch):
    """Wrong on purpose: nobody lets go of it."""

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        KEPT.append(self)


if __name__ == "__main__":
    consumer.Batch = KeptBatch
    sys.exit(service.main())
