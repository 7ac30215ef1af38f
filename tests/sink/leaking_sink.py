"""The sink with a memory leak: `python leaking_sink.py`. The simulated day must find it."""

import sys
from typing import Any

import sink.__main__ as service
from sink import consumer
from sink.batches import Batch

KEPT: list[Batch] = []


class KeptBatch(Batch):
    """Wrong on purpose: it is never freed."""

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - the fields of Batch
        super().__init__(**values)
        KEPT.append(self)


if __name__ == "__main__":
    vars(consumer)["Batch"] = KeptBatch
    sys.exit(service.main())
