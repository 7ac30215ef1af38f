"""The mock cluster in a container: it listens on loopback, socat opens port 9092 (inside) and 19092 (published).

A mock broker hands out one address only. It is the container's own on its network: the other containers reach it, and
so does a Linux host. Docker Desktop does not route to containers: there, name a real broker's image in KAFKA_IMAGE.
"""

import socket
import subprocess
from contextlib import closing

from runbook.local_stack.fakes.broker.cluster import MockCluster
from runbook.local_stack.fakes.serving import log
from runbook.platforms import hold_signals, wait_for_end

TOPICS = {"apexflow.leads.created": 4, "apexflow.jobs.created": 4}
INSIDE, OUTSIDE = 9092, 19092


def main() -> None:
    """Serve until SIGTERM; the kernel ends the doors with this process, which is the container's first."""
    hold_signals()
    with closing(MockCluster(1)) as cluster:
        for name, partitions in TOPICS.items():
            cluster.create_topic(name, partitions)
        loopback = cluster.bootstrap()
        own = socket.gethostbyname(socket.gethostname())
        cluster.advertise(own, INSIDE)
        for port in (INSIDE, OUTSIDE):
            subprocess.Popen(("/usr/bin/socat", f"TCP-LISTEN:{port},fork,reuseaddr", f"TCP:{loopback}"))
        log(f"kafka serves on {own}:{INSIDE}")
        wait_for_end()


if __name__ == "__main__":
    main()
