"""General and counter interrogations (IEC 60870-5-101, 7.4.5 and 7.4.8; IEC 60870-5-5, 6.6 and 6.9).

The rules:

1. One at a time on a link. A request that equals one which waits, or which the station has not begun to answer,
   joins it.
2. Confirmation (cause 7), any of its values and termination (cause 10) show that the station is at it. It ends
   with the termination, with a refusal, or after ``interrogation_timeout`` seconds without any of them. A station
   that goes on sending such values for ever must not keep the others from their turn: it ends after
   :data:`LONGEST` times that, too.
3. Values may come before the confirmation. A termination that comes before both belongs to an earlier
   interrogation, given up meanwhile.
4. What only freezes or resets counters is not always terminated: a confirmation is enough when nothing follows
   within ``termination_timeout``.
5. An interrogation of all stations (common address 65535) ends when all have ended that confirmed it.
6. A station that starts again (M_EI_NA_1) has forgotten what it had begun to answer. What it had not may have been
   on its way: it ends when nothing of it comes within :data:`RESTARTED` seconds.
7. Each begins when there is a turn for it in this process (see :mod:`~pydatacoll.protocols.iec104.turns`), except
   for one that somebody waits for.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import BROADCAST, Asdu, InformationObject, encode
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.control import CounterInterrogation, Interrogation
from pydatacoll.protocols.iec104.outcomes import (
    CONFIRMED,
    LINK_LOST,
    NO_CONFIRMATION,
    NO_TERMINATION,
    TERMINATED,
    refusal,
)
from pydatacoll.protocols.iec104.turns import TURNS, Turn, Turns
from pydatacoll.protocols.iec104.wire import Wire

STATION = 20
"""General interrogation of the whole station; 21 to 36 are its groups 1 to 16."""
COUNTERS = 37
"""All counters; 38 to 41 are their groups 1 to 4."""
GROUPS = {
    STATION: "general interrogation",
    **{STATION + n: f"group {n}" for n in range(1, 17)},
    COUNTERS: "all counters",
    **{COUNTERS + n: f"counters, group {n}" for n in range(1, 5)},
}
"""What can be asked for; the numbers are the causes with which the values come."""

LONGEST = 20
"""Times ``interrogation_timeout`` that an interrogation may take."""
RESTARTED = 1.0
"""Seconds that a station has after its start to begin to answer."""

_INTERROGATION, _COUNTER_INTERROGATION = 100, 101
_ACTIVATION, _CONFIRMATION, _TERMINATION = 6, 7, 10
_ALL_COUNTERS = 5


class Request(NamedTuple):
    """
    :ivar group: one of :data:`GROUPS`.
    :ivar freeze: of counters: 0 read, 1 freeze, 2 freeze and reset, 3 reset.
    """

    common: int
    group: int = STATION
    freeze: int = 0

    @property
    def counters(self) -> bool:
        """Whether it is of counters."""
        return self.group >= COUNTERS

    @property
    def type_id(self) -> int:
        """Of the ASDU that asks."""
        return _COUNTER_INTERROGATION if self.counters else _INTERROGATION

    def asdu(self, originator: int) -> Asdu:
        """
        :raises LocalProtocolError: ``freeze`` is not 0 to 3.
        """
        element: Interrogation | CounterInterrogation = Interrogation(self.group)
        if self.counters:
            number = self.group - COUNTERS
            element = CounterInterrogation(number or _ALL_COUNTERS, self.freeze)
        objects = (InformationObject(0, element),)
        return Asdu(self.type_id, _ACTIVATION, self.common, objects, originator=originator)


class Report(msgspec.Struct, frozen=True):
    """How an interrogation ended.

    :ivar outcome: ``terminated`` when it is complete, otherwise see :mod:`~pydatacoll.protocols.iec104.outcomes`.
    :ivar points: values that came as its answer.
    :ivar seconds: from the request to the end; 0 when it was not sent.
    :ivar time: of its end, epoch seconds.
    :ivar error: what kept it from being complete.
    """

    request: Request
    outcome: str
    points: int
    seconds: float
    time: float
    error: DeviceError | None = None


class _Entry:
    """A request that waits for the link, or for its turn."""

    def __init__(self, request: Request, *, urgent: bool) -> None:
        self.request = request
        self.urgent = urgent
        self.future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()


class _Running:
    """The interrogation that is under way."""

    def __init__(self, request: Request, future: asyncio.Future[Report], now: float) -> None:
        self.request = request
        self.future = future
        self.began = self.heard = now
        self.confirmed = False
        self.busy: set[int] = set()
        """Stations that have confirmed and not ended it."""
        self.points = 0
        self.restarted = math.inf
        """When the station started again, before it had begun to answer."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def answered(self) -> bool:
        """Whether the station has begun to."""
        return self.confirmed or self.points > 0

    def concerns(self, common: int) -> bool:
        """Whether it asks this station."""
        return self.request.common in (common, BROADCAST)


class Interrogations:
    """Those of one station.

    :param began: is told of every one that is sent, with the common address.
    :param ended: is told of every end.
    """

    def __init__(
        self,
        device: Iec104Device,
        wall: Callable[[], float],
        *,
        began: Callable[[int], None],
        ended: Callable[[Report], None],
        turns: Turns = TURNS,
    ) -> None:
        self._device = device
        self._wall = wall
        self._began = began
        self._ended = ended
        self._turns = turns
        self._wire: Wire | None = None
        self._waiting: deque[_Entry] = deque()
        self._running: _Running | None = None
        self._turn: Turn | None = None

    def connected(self, wire: Wire) -> None:
        """From now on over this way."""
        self._wire = wire

    def switched(self) -> None:
        """Another connection has taken over: what runs will not be answered any more, and is asked again."""
        running = self._running
        if running is None:
            return
        entry = _Entry(running.request, urgent=True)
        entry.future = running.future
        self._running = None
        if running.timer is not None:
            running.timer.cancel()
        self._waiting.appendleft(entry)
        self._go_on()

    def lost(self, error: DeviceOffline) -> None:
        """The way is closed: what runs and what waits has ended."""
        self._wire = None
        waiting, self._waiting = self._waiting, deque()
        self._end(LINK_LOST, error)
        self._give_back()
        for entry in waiting:
            self._tell(Report(entry.request, LINK_LOST, 0, 0.0, self._wall(), error), entry.future)

    async def run(self, request: Request, *, urgent: bool = False) -> Report:
        """Interrogate; being cancelled does not stop it, for the station would send everything all the same.

        :param urgent: somebody waits for it: it does not wait for a turn.
        :raises DeviceOffline: there is no link, or it was lost.
        """
        if self._wire is None:
            raise DeviceOffline("not connected")
        report = await asyncio.shield(self._join(request, urgent=urgent))
        if report.outcome == LINK_LOST and report.error is not None:
            raise report.error
        return report

    def _join(self, request: Request, *, urgent: bool) -> asyncio.Future[Report]:
        running = self._running
        if running is not None and running.request == request and not running.answered:
            return running.future
        entry = next((entry for entry in self._waiting if entry.request == request), None)
        if entry is None:
            entry = _Entry(request, urgent=urgent)
            if urgent:
                self._waiting.appendleft(entry)
            else:
                self._waiting.append(entry)
        entry.urgent |= urgent
        self._go_on()
        return entry.future

    def _go_on(self) -> None:
        """Begin the next one as soon as the link and the process are free for it."""
        if self._running is not None or not self._waiting:
            return
        if any(entry.urgent for entry in self._waiting):
            self._give_back()
            self._begin()
        elif self._turn is None:
            self._turn = self._turns.take(self._begin)

    def _give_back(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()

    def _begin(self) -> None:
        wire, now = self._wire, asyncio.get_running_loop().time()
        if wire is None or self._running is not None or not self._waiting:
            return
        entry = self._waiting.popleft()
        self._running = running = _Running(entry.request, entry.future, now)
        try:
            wire.send(encode(entry.request.asdu(self._device.originator)))
        except DeviceOffline as error:
            self._end(LINK_LOST, error)
            return
        self._began(entry.request.common)
        self._watch(running, now)

    # What comes

    def received(self, asdu: Asdu) -> bool:
        """A mirrored C_IC_NA_1 or C_CI_NA_1; False: nobody waits for it."""
        running = self._running
        common = asdu.common_address
        if running is None or asdu.type_id != running.request.type_id or not running.concerns(common):
            return False
        error = refusal(asdu)
        if error is not None:
            self._end(error.outcome, error)
        elif asdu.cause == _CONFIRMATION:
            running.confirmed = True
            running.busy.add(common)
            running.heard = asyncio.get_running_loop().time()
            if running.request.freeze:
                self._watch(running, running.heard)
        elif asdu.cause == _TERMINATION and running.answered:
            running.busy.discard(common)
            if not running.busy:
                self._end(TERMINATED, None)
        else:
            return False
        return True

    def arrived(self, cause: int, common: int, count: int) -> None:
        """Values came."""
        running = self._running
        if running is not None and cause == running.request.group and running.concerns(common):
            running.points += count
            running.heard = asyncio.get_running_loop().time()

    def restarted(self, common: int | None) -> None:
        """A station has started again; ``None``: all have."""
        running = self._running
        if running is None or (common is not None and not running.concerns(common)):
            return
        if running.answered:
            text = f"the {GROUPS[running.request.group]} was not terminated: the station started again"
            self._end(NO_TERMINATION, DeviceTimeout(text))
        else:
            now = asyncio.get_running_loop().time()
            running.restarted = min(running.restarted, now)
            self._watch(running, now)

    def status(self) -> dict[str, Any] | None:
        """What is under way, in plain data."""
        running = self._running
        if running is None:
            return None
        return {
            "address": running.request.common,
            "what": GROUPS[running.request.group],
            "confirmed": running.confirmed,
            "points": running.points,
            "seconds": round(asyncio.get_running_loop().time() - running.began, 3),
            "waiting": len(self._waiting),
        }

    # Time

    def _patience(self, running: _Running) -> float:
        if running.request.freeze and running.confirmed and not running.points:
            return self._device.termination_timeout
        return self._device.interrogation_timeout

    def _end_of_patience(self, running: _Running) -> float:
        last = running.began + LONGEST * self._device.interrogation_timeout
        begin = math.inf if running.answered else running.restarted + RESTARTED
        return min(running.heard + self._patience(running), last, begin)

    def _watch(self, running: _Running, now: float) -> None:
        if running.timer is not None:
            running.timer.cancel()
        left = self._end_of_patience(running) - now
        running.timer = asyncio.get_running_loop().call_later(left, self._look, running)

    def _look(self, running: _Running) -> None:
        now = asyncio.get_running_loop().time()
        patience = self._patience(running)
        if now < self._end_of_patience(running):
            self._watch(running, now)
        elif running.request.freeze and running.confirmed and not running.points:
            self._end(CONFIRMED, None)
        elif running.answered:
            why = f"nothing of it came for {patience:g} s"
            if now < running.heard + patience:
                why = f"still something of it comes after {now - running.began:.3g} s"
            self._end(
                NO_TERMINATION, DeviceTimeout(f"the {GROUPS[running.request.group]} was not terminated: {why}")
            )
        else:
            why = f"within {patience:g} s" if math.isinf(running.restarted) else "after the station started again"
            self._end(
                NO_CONFIRMATION, DeviceTimeout(f"the {GROUPS[running.request.group]} was not answered {why}")
            )

    def _end(self, outcome: str, error: DeviceError | None) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        if running.timer is not None:
            running.timer.cancel()
        self._give_back()
        seconds = asyncio.get_running_loop().time() - running.began
        report = Report(running.request, outcome, running.points, seconds, self._wall(), error)
        self._tell(report, running.future)
        self._go_on()

    def _tell(self, report: Report, future: asyncio.Future[Report]) -> None:
        self._ended(report)
        if not future.done():
            future.set_result(report)
