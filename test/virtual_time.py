"""A clock for tests whose devices are simulated in the same process: no time limit depends on the machine.

It moves by no more than a tick a turn of the loop while something happens, however long that takes, and when
nothing happens it jumps to the next moment that somebody waits for: who waits actively must sleep for it to go on.
Not for tests that talk to other processes: these need real time.
"""

from __future__ import annotations

import asyncio
import selectors

TICK = 1e-6
"""Seconds."""
MOMENT = 0.03
"""Seconds in which something that was sent over loopback arrives; so long nothing must happen before a jump."""


class _Selector(selectors.DefaultSelector):
    """:ivar now: seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0  # not 0, as no clock is at 0 when a program runs

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += TICK
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(min(timeout, MOMENT))
        if not events:
            self.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Marked with ``virtual_time``, a test runs on this loop."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now
