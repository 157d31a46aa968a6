"""Asking a station for points of which it is in doubt whether what they show is right.

An event that counts as late changes nothing that is shown (see :mod:`~pydatacoll.protocols.iec104.monitor`). When
the clock of the station is behind, and nothing is known of that yet, it was the newest one all the same: a breaker
has tripped, and is shown closed. So a late event that says something else than its point shows is followed by a
question for what holds now. The rules:

1. What comes into doubt within :data:`GATHER` seconds is asked for at once, each common address by itself.
2. Up to :data:`SINGLY` points are read one by one (C_RD_NA_1). More of them, and all of a station that does not
   answer such a command within :data:`PATIENCE` seconds, are interrogated for: a general interrogation, and one of
   counters when there are counters among them.
3. That happens once in :data:`PAUSE` seconds at most; what comes into doubt meanwhile waits.
4. A station is asked once, whatever comes of it: the next late event asks again.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Mapping

from pydatacoll.errors import DeviceError, DeviceRefused
from pydatacoll.protocols.iec104.config import Address
from pydatacoll.protocols.iec104.interrogations import COUNTERS, STATION, Request
from pydatacoll.protocols.iec104.outcomes import UNKNOWN
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.protocols.iec104.targets import Targets, is_counter
from pydatacoll.sdk import Point, Sink

GATHER = 0.1
"""Seconds; also the pause between two rounds of reading."""
SINGLY = 8
"""Points that are read one by one."""
PATIENCE = 1.0
"""Seconds."""
PAUSE = 10.0
"""Seconds between two interrogations of one station."""

_UNKNOWN_OBJECT = UNKNOWN[47]


class Doubts:
    """Those of one device.

    :param counters: of the device; ``doubted_values`` are the points that were asked for.
    """

    def __init__(self, targets: Targets, procedures: Procedures, sink: Sink, counters: Counter[str]) -> None:
        self._targets = targets
        self._procedures = procedures
        self._sink = sink
        self._counters = counters
        self._open: dict[int, dict[Address, Point]] = {}
        self._settling: dict[int, asyncio.Task[None]] = {}
        # stations that do not answer to a read command on this link
        self._unread: set[int] = set()
        self._interrogated: dict[int, float] = {}
        self._failed: asyncio.Future[None] | None = None

    def raised(self, doubts: Mapping[Address, Point]) -> None:
        """Some points have come into doubt. Nobody is asked unless :meth:`run` runs."""
        if self._failed is None:
            return
        for address, point in doubts.items():
            self._open.setdefault(address.common, {})[address] = point
            if address.common not in self._settling:
                task = asyncio.ensure_future(self._settle(address.common))
                self._settling[address.common] = task
                task.add_done_callback(self._settled)

    async def run(self) -> None:
        """Ask what has to be asked over one link, until cancelled."""
        self._unread.clear()
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self._failed
        finally:
            self._failed = None
            tasks = list(self._settling.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._settling.clear()
            self._open.clear()

    def _settled(self, task: asyncio.Task[None]) -> None:
        failed = self._failed
        if failed is None or failed.done() or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            failed.set_exception(error)

    async def _settle(self, common: int) -> None:
        """Ask one station until nothing is open."""
        while True:
            await asyncio.sleep(GATHER)
            if common in self._unread or len(self._open[common]) > SINGLY:
                await self._interrogate(common)
            else:
                await self._read_all(common)
            if not self._open[common]:
                del self._open[common], self._settling[common]
                return

    async def _read_all(self, common: int) -> None:
        points, self._open[common] = self._open[common], {}
        self._counters["doubted_values"] += len(points)
        read = await asyncio.gather(*itertools.starmap(self._read, points.items()))
        left = {address: points[address] for address, done in zip(points, read, strict=True) if not done}
        if left:
            self._unread.add(common)
            self._counters["doubted_values"] -= len(left)
            self._open[common] |= left

    async def _read(self, address: Address, point: Point) -> bool:
        """Whether the station said all that it knows of a point."""
        try:
            async with asyncio.timeout(PATIENCE):
                sample = await self._procedures.read_only(address)
        except DeviceRefused as error:
            return not error.outcome or error.outcome == _UNKNOWN_OBJECT
        except (TimeoutError, DeviceError):
            return False
        self._sink.spontaneous([(point, sample)])
        return True

    async def _interrogate(self, common: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._interrogated.get(common, -math.inf) + PAUSE - loop.time())
        points, self._open[common] = self._open[common], {}
        self._counters["doubted_values"] += len(points)
        self._interrogated[common] = loop.time()
        targets = [self._targets.of(point) for point in points.values()]
        counters = {is_counter(target) for target in targets if not isinstance(target, DeviceError)}
        for counter in sorted(counters):
            # how it ends is shown in the status
            await self._procedures.interrogate(Request(common, COUNTERS if counter else STATION))
