"""Free TCP ports of 127.0.0.1 for the services of the local stack."""

import random
import socket
from dataclasses import dataclass
from typing import Self

from runbook.errors import RunbookError
from runbook.platforms import claim_alone
from runbook.shell import show_listeners

# Below the ports that systems hand to outgoing connections (Linux from 32768, macOS from 49152): a service that is
# started again finds its port free.
_CHOICE = range(20_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """One port for each listener that a service may have; the mock broker chooses Kafka's by itself."""

    keycloak: int
    gateway: int
    apexflow: int
    database: int
    kafka: int
    kafka_control: int
    kafka_controller: int
    sink_metrics: int
    sink_http: int
    prometheus: int
    alertmanager: int
    grafana: int

    @classmethod
    def free(cls) -> Self:
        """Choose ports that nothing listens on now, at random, so that two stacks seldom want the same."""
        candidates = random.SystemRandom().sample(_CHOICE, len(_CHOICE))
        open_ports = (port for port in candidates if not is_taken(port))
        try:
            return cls(**{name: next(open_ports) for name in cls.__dataclass_fields__})
        except StopIteration:
            raise RunbookError(
                "No free port was found",
                where=f"127.0.0.1, ports {_CHOICE.start} to {_CHOICE.stop - 1}",
                fix=f"end what listens there: {show_listeners()}",
            ) from None


def is_taken(port: int) -> bool:
    """Tell whether something listens on 127.0.0.1:port; connections that were closed just now do not count."""
    with socket.socket() as probe:
        claim_alone(probe)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
