"""What a process has cost: CPU time and memory."""

import re
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def children_cpu_s() -> float:
    """Return the CPU time of all children that have ended; the difference around a run is its own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class PeakMemory:
    """The largest resident memory of a running process so far, as Linux keeps it.

    Not `ru_maxrss` of the ended child: it begins with the size of the process that started it.
    """

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.mib: float | None = None

    def look(self) -> None:
        """Read it anew; a process that has just ended leaves the value as it was."""
        with suppress(OSError):
            if found := _PEAK.search(self._status.read_text()):
                self.mib = int(found[1]) / 1024
