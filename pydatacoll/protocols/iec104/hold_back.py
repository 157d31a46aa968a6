"""Letting a station wait while the store cannot keep up: what it has not sent is not lost, what we drop is."""

from __future__ import annotations

import asyncio

from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import DriverContext

FIRST_LOOK, LONGEST_PAUSE = 0.002, 0.02
"""Seconds until the first look at whether the store has caught up, and at most between two of them, each pause
being twice as long as the one before: many stations that wait long must not take the time the store needs."""


class HoldBack:
    """Of one device. A station whose frames are not acknowledged stops sending after k of them, and closes the
    link after t1: so nothing is received for half of t1 at most, then what has come is taken all the same."""

    def __init__(self, device: Iec104Device, context: DriverContext) -> None:
        self._longest = device.t1 / 2
        self._context = context
        self._timer: asyncio.TimerHandle | None = None

    def check(self, wire: Wire) -> None:
        """To be called after something was received."""
        if self._timer is not None or not self._context.behind():
            return
        self._context.counters["held_back"] += 1
        wire.pause()
        self._look_later(wire, asyncio.get_running_loop().time() + self._longest, FIRST_LOOK)

    def _look_later(self, wire: Wire, until: float, pause: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause, self._look, wire, until, pause)

    def _look(self, wire: Wire, until: float, pause: float) -> None:
        if self._context.behind() and not wire.closed.done() and asyncio.get_running_loop().time() < until:
            self._look_later(wire, until, min(2 * pause, LONGEST_PAUSE))
        else:
            self._timer = None
            wire.resume()

    def stop(self) -> None:
        """The link is about to be closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
