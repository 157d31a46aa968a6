"""Names of managers, and which of them are known to be dead without waiting for their leases to end.

A manager that was killed on this machine leaves leases behind. Whoever starts after it can see that its process is
gone, and need not wait. The name says where the process lives: the machine since its last boot and the namespace
of its process ids, so that a container is not taken for its neighbour.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path


@cache
def place() -> str:
    """What a process id is unique in; empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:8]


def manager_name() -> str:
    """A name for a manager of this process: ``host-place-pid-random``."""
    return f"{socket.gethostname()}-{place()}-{os.getpid()}-{secrets.token_hex(3)}"


def is_dead(name: str) -> bool:
    """Whether a manager was a process of this place that is gone. False when that cannot be told.

    A process id that is in use again counts as alive: then its lease is waited for, as that of another machine.
    """
    parts = name.rsplit("-", 3)
    if len(parts) != 4 or not place() or parts[:2] != [socket.gethostname(), place()] or not parts[2].isdigit():
        return False
    pid = int(parts[2])
    try:
        os.kill(pid, 0)  # and not a look into /proc, which may hide the processes of others
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return state.rpartition(")")[2].split()[:1] == ["Z"]  # its parent has not asked for its end yet
