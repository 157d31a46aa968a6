"""CPU and memory of processes and of the machine, from ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_megabytes(pid: int) -> float:
    """Resident memory of a process, MB (10**6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no VmRSS for {pid}")


def busy_seconds() -> float:
    """Time that all cores together were not idle since boot; steal counts as busy."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


class Window:
    """CPU of some processes, and of everybody else, between two moments."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._start = time.monotonic()
        self._busy = busy_seconds()
        self._cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def shares(self) -> dict[str, float]:
        """Share of one core per process since the start, and ``others``: what the rest of the machine took."""
        elapsed = time.monotonic() - self._start
        used = {name: cpu_seconds(pid) - self._cpu[name] for name, pid in self._pids.items()}
        others = busy_seconds() - self._busy - sum(used.values())
        return {name: seconds / elapsed for name, seconds in used.items()} | {"others": max(0.0, others) / elapsed}
