"""What is logged about the links of a manager's devices: every change, as long as there are few.

A device that comes and goes, or a thousand that are lost at once, must not flood the log. What is held back is in
the summary of the minute, and in ``/metrics``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

PER_DEVICE = 4
"""Lines of one device in :data:`PERIOD`."""
PERIOD = 600.0
"""Seconds."""
TOGETHER = 40
"""Lines of all devices from one summary to the next."""
MINUTE = 60.0
"""Seconds between two summaries."""


@dataclass(slots=True)
class _Told:
    """About one device: lines since ``start``, and the last one."""

    start: float
    lines: int = 0
    last: str = ""


class LinkLog:
    """Takes every change of a link; :meth:`run` is its task."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._lines = 0
        self._held = 0
        self._lost: Counter[str] = Counter()
        self._connected: set[str] = set()
        self._reasons: dict[str, str] = {}

    def connected(self, device_id: str) -> None:
        """The link is up."""
        self._connected.add(device_id)
        self._tell(device_id, logging.INFO, "connected")

    def lost(self, device_id: str, reason: str, *, was_up: bool) -> None:
        """The link broke, or (not ``was_up``) could not be made."""
        if was_up:
            self._lost[device_id] += 1
        self._reasons[device_id] = reason
        self._tell(device_id, logging.WARNING, reason)

    def forget(self, device_id: str) -> None:
        """The device is not run here any more."""
        for known in (self._told, self._reasons, self._lost):
            known.pop(device_id, None)
        self._connected.discard(device_id)

    def _tell(self, device_id: str, level: int, text: str) -> None:
        now = self._clock()
        told = self._told.get(device_id)
        if told is None or now - told.start > PERIOD:
            told = self._told[device_id] = _Told(now, last="" if told is None else told.last)
        if text == told.last:
            return
        told.last = text
        if told.lines >= PER_DEVICE or self._lines >= TOGETHER:
            self._held += 1
            return
        told.lines += 1
        self._lines += 1
        log.log(level, "device %s: %s", device_id, text, extra={"device": device_id})

    def summary(self) -> str | None:
        """What happened since the last one; ``None`` when all was logged, or is of devices that are gone."""
        held, self._held, self._lines = self._held, 0, 0
        lost, connected = self._lost, self._connected
        self._lost, self._connected = Counter(), set()
        reasons, self._reasons = self._reasons, {}
        if not held or not (lost or connected or reasons):
            return None
        text = f"{len(lost)} devices lost their link, {len(connected)} connected in the last minute"
        if lost:
            worst = [
                f"{device_id} ({count} times: {reasons.get(device_id, 'unknown')})"
                for device_id, count in lost.most_common(3)
            ]
            text += f"; worst: {', '.join(worst)}"
        elif reasons:
            device_id, reason = next(iter(reasons.items()))
            text += f"; {len(reasons)} cannot be reached: {device_id} ({reason}), ..."
        return text

    async def run(self) -> None:
        """Log a summary every minute in which something was held back; until cancelled."""
        while True:
            await asyncio.sleep(MINUTE)
            if text := self.summary():
                log.warning("%s", text)
