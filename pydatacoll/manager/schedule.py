"""When to poll: at once at the start, then on a grid of the interval, shifted so that devices do not coincide."""

from __future__ import annotations

import math
from zlib import crc32


def phase_of(device_id: str, lane: int, interval: float) -> float:
    """Shift of a lane's grid, in ``[0, interval)`` seconds: the same at every start, spread over devices."""
    return crc32(f"{device_id}/{lane}".encode()) / 2**32 * interval


def first_due(now: float, interval: float, phase: float) -> float:
    """The first point of the grid ``phase + n * interval`` after ``now``, seconds of one clock.

    Later ones follow by adding ``interval`` to the one before, never to the present time: so a slow poll does
    not shift those after it.
    """
    due = (math.floor((now - phase) / interval + 1e-6) + 1) * interval + phase
    return due if due > now else due + interval


def missed_beats(due: float, now: float, interval: float) -> int:
    """How many whole beats after ``due`` had passed when the poll that was due then ended at ``now``."""
    return max(0, math.floor((now - due) / interval))


def backoff(attempt: int, least: float, most: float, random: float) -> float:
    """Pause before connection attempt number ``attempt`` (1, 2, ...), seconds.

    Doubles up to ``most``; ``random`` in ``[0, 1)`` takes away up to half, so that devices that were lost
    together do not come back together.
    """
    pause = min(most, least * 2.0 ** min(attempt - 1, 30))
    return pause * (1 - random / 2)
