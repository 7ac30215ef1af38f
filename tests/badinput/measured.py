"""Gives one command as the program does, and writes to a file how much memory it held at its peak, in bytes.

What is asked without a time-out of the command's own is asked for two seconds here, and Kafka, which is not there, for
half a second.
"""

import sys
from pathlib import Path

from runbook.__main__ import main
from runbook.systems.alertmanager.client import Alertmanager
from runbook.systems.kafka.client import Kafka
from runbook.systems.prometheus.client import Prometheus

ANSWER_S, KAFKA_S = 2.0, 0.5


def peak_bytes() -> int:
    """Return the most memory that this process has held at once: of itself, and not of who started it."""
    (line,) = [one for one in Path("/proc/self/status").read_text("ascii").splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    peak_file = Path(sys.argv.pop(1))
    for client in (Prometheus, Alertmanager):
        client.__init__.__defaults__ = (ANSWER_S,)
    Kafka.__init__.__defaults__ = (KAFKA_S,)
    try:
        main()
    finally:
        peak_file.write_text(str(peak_bytes()))
