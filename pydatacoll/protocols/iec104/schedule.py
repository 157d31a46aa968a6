"""When the stations behind a link are interrogated and their clocks set.

The rules:

1. When a link is up, the clocks are set, then every station is interrogated, then those with counters for them.
   The interrogation does not wait for the confirmation of the clock: some stations give none.
2. Later both follow in their intervals, on a grid shifted for each device, so that devices do not coincide. The
   first beat of the grid is left out when it is sooner than half an interval. What was missed is not made up for.
3. A station that starts again (M_EI_NA_1), and each after a switch-over, is interrogated at once, but not twice
   within :data:`GATHER` seconds, however often it says so.
4. One that gets new points is interrogated :data:`GATHER` seconds later, once for all that have changed until
   then.
5. An interrogation that failed is repeated after a growing pause, unless the station does not know what it is
   asked.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

from pydatacoll.errors import DeviceError, DeviceOffline
from pydatacoll.protocols.iec104.asdu import BROADCAST
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.interrogations import COUNTERS, STATION, Request
from pydatacoll.protocols.iec104.outcomes import TERMINATED, UNKNOWN
from pydatacoll.protocols.iec104.procedures import Procedures

GATHER = 0.5
FIRST_RETRY, LAST_RETRY = 10.0, 600.0
"""Pauses before a failed interrogation is repeated, seconds; each is twice the one before."""
CLOCK_RETRY = 300.0
"""Seconds until a clock that could not be set is tried again."""

_REFUSED_FOR_GOOD = frozenset(UNKNOWN.values())


class Schedule:
    """That of one device.

    :param counters: of the device.
    """

    def __init__(self, device: Iec104Device, procedures: Procedures, counters: Counter[str]) -> None:
        self._device = device
        self._procedures = procedures
        self._counters = counters
        self._requests: dict[Request, None] = {}
        self._stations: list[int] = []
        self._due: dict[Request, float] = {}
        self._retries: dict[Request, float] = {}
        self._clock_due: dict[int, float] = {}
        # when it was done last
        self._asked: dict[Request, float] = {}
        self._clock_set: dict[int, float] = {}
        self._changed = asyncio.Event()
        self._clock_changed = asyncio.Event()
        self._running = False

    # What there is

    def configure(
        self, stations: Iterable[int], with_counters: Iterable[int], grown: Iterable[int], *, everywhere: bool
    ) -> None:
        """Take the common addresses of the device.

        :param with_counters: those with counters among them.
        :param grown: those that have got new points.
        :param everywhere: ask all stations there are, too: there is no point yet, and a user wants to see which
            addresses there are.
        """
        self._stations = sorted(stations)
        requests = [Request(common, STATION) for common in self._stations]
        requests += [Request(common, COUNTERS) for common in sorted(with_counters)]
        if everywhere:  # last, for many stations ignore it
            requests += Request(BROADCAST, STATION), Request(BROADCAST, COUNTERS)
        never = COUNTERS if self._device.counter_interval == 0 else None
        self._requests = dict.fromkeys(request for request in requests if request.group != never)
        if not self._running:
            return
        now = asyncio.get_running_loop().time()
        changed = set(grown)
        self._due = {
            request: min(self._due.get(request, math.inf), now + GATHER)
            if request.common in changed or request not in self._due
            else self._due[request]
            for request in self._requests
        }
        self._changed.set()
        self._clock_due = {common: self._clock_due.get(common, now) for common in self._stations}
        self._clock_changed.set()

    def again(self, common: int | None = None, *, clock: bool = False) -> None:
        """Interrogate a station at once, all of them with ``None``; ``clock``: and set its clock."""
        if not self._running:
            return
        now = asyncio.get_running_loop().time()
        for request in self._requests:
            if common is None or request.common in (common, BROADCAST):
                self._due[request] = max(now, self._asked.get(request, -math.inf) + GATHER)
        self._changed.set()
        stations = [one for one in self._clock_due if clock and common in (None, one)]
        for one in stations:
            self._clock_due[one] = max(now, self._clock_set.get(one, -math.inf) + GATHER)
        self._clock_changed.set()

    # What is done

    async def run(self) -> None:
        """Keep everything up to date over one link, until cancelled.

        :raises DeviceOffline: the link is gone.
        """
        now = asyncio.get_running_loop().time()
        self._due = dict.fromkeys(self._requests, now)
        for past in (self._retries, self._asked, self._clock_set):
            past.clear()
        self._clock_due = dict.fromkeys(self._stations, now)
        self._running = True
        # begun in this order, so that the clocks are on their way before the first interrogation
        first = self._set_clocks_due()
        keepers = [asyncio.ensure_future(work) for work in (self._keep_clocks(first), self._keep_values())]
        try:
            done, _ = await asyncio.wait(keepers, return_when=asyncio.FIRST_COMPLETED)
            for keeper in done:
                keeper.result()
        finally:
            self._running = False
            for task in (*keepers, *first):
                task.cancel()
            await asyncio.gather(*keepers, *first, return_exceptions=True)

    async def _keep_values(self) -> None:
        while True:
            self._changed.clear()
            request = min(self._due, key=self._due.__getitem__, default=None)
            if request is None or not await _until(self._due[request], self._changed):
                continue
            self._due[request] = math.inf
            await self._interrogate(request)

    async def _interrogate(self, request: Request) -> None:
        self._asked[request] = asyncio.get_running_loop().time()
        report = await self._procedures.interrogate(request)
        if request not in self._due:
            return
        now = asyncio.get_running_loop().time()
        due = self._next(request, now)
        if report.outcome == TERMINATED or report.outcome in _REFUSED_FOR_GOOD:
            self._retries.pop(request, None)
        else:
            self._counters["failed_interrogations"] += 1
            pause = self._retries.get(request, FIRST_RETRY)
            self._retries[request] = min(2 * pause, LAST_RETRY)
            due = min(due, now + pause)
        self._due[request] = min(self._due[request], due)  # it may have become due once more meanwhile

    def _next(self, request: Request, now: float) -> float:
        interval = self._device.coll_interval
        if request.counters and self._device.counter_interval is not None:
            interval = self._device.counter_interval
        return next_beat(now, interval, f"{self._device.id}/{request.group}")

    async def _keep_clocks(self, setting: Sequence[asyncio.Task[None]]) -> None:
        while True:
            await asyncio.gather(*setting)
            self._clock_changed.clear()
            due = min(self._clock_due.values(), default=math.inf) if self._device.clock_interval else math.inf
            setting = self._set_clocks_due() if await _until(due, self._clock_changed) else []

    def _set_clocks_due(self) -> list[asyncio.Task[None]]:
        now, interval = asyncio.get_running_loop().time(), self._device.clock_interval
        stations = [common for common, at in self._clock_due.items() if at <= now and interval]
        for common in stations:
            self._clock_set[common] = now
            self._clock_due[common] = next_beat(now, interval, f"{self._device.id}/clock")
        return [asyncio.ensure_future(self._set_clock(common)) for common in stations]

    async def _set_clock(self, common: int) -> None:
        try:
            await self._procedures.set_clock(common)
        except DeviceOffline:
            raise
        except DeviceError:
            self._counters["failed_clock_syncs"] += 1
            if common in self._clock_due:
                again = asyncio.get_running_loop().time() + CLOCK_RETRY
                self._clock_due[common] = min(self._clock_due[common], again)
        else:
            self._counters["clock_syncs"] += 1


async def _until(due: float, changed: asyncio.Event) -> bool:
    """Wait until then. False: something changed before."""
    left = due - asyncio.get_running_loop().time()
    if left <= 0:
        return True
    try:
        async with asyncio.timeout(None if math.isinf(left) else left):
            await changed.wait()
    except TimeoutError:
        return True
    return False


def next_beat(now: float, interval: float, name: str) -> float:
    """The next beat of a grid that ``name`` shifts, but none that is sooner than half an ``interval``; seconds of
    one clock. Infinity for an interval of 0."""
    if not interval:
        return math.inf
    phase = crc32(name.encode()) / 2**32 * interval
    beat = math.floor((now - phase) / interval) * interval + interval + phase
    return beat if beat - now >= interval / 2 else beat + interval
