"""A redundancy group (IEC 60870-5-104, clause 10): two connections to a station, of which one is started.

The rules:

1. Both are connected when the group opens, and connected again with growing pauses when they are lost. The one
   that is not started is kept alive by tests (TESTFR), so it is known to be of use when it is needed.
2. When the group opens the first is started; the second when the first cannot be connected or does not confirm.
3. When the started one is lost the other is started at once. It stays when the lost one comes back.
4. When the started one is lost and the other is not up, or does not confirm either, the group is closed.
5. Between loss and confirmation nothing can be sent. Nothing is sent again over the other connection: the owner
   knows by ``went_out`` what may have arrived.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.connection import Connection
from pydatacoll.protocols.iec104.wire import Receiver, Wire
from pydatacoll.sdk import DriverContext

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a lost connection is tried again; doubled each time."""
STEADY = 5.0
"""Seconds after which a connection counts as good: the pauses begin anew."""
REMEMBERED = 16
"""Connections of which is still known what was sent over them."""


class Place(NamedTuple):
    """One of the two ways to the station.

    :ivar name: host and port.
    :ivar dial: connects, without starting; raises DeviceOffline.
    """

    name: str
    dial: Callable[[Receiver], Awaitable[Connection]]


class _Leg:
    """What is known of one place.

    :ivar connection: the one that is up, or the last one.
    :ivar error: why the last attempt failed, or the last connection ended.
    :ivar tried: set when the first attempt has ended.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.connection: Connection | None = None
        self.error: str | None = None
        self.tried = asyncio.Event()

    @property
    def up(self) -> Connection | None:
        return None if self.connection is None or self.connection.closed.done() else self.connection

    def status(self) -> dict[str, Any]:
        status = {"state": "closed"} if self.connection is None else self.connection.status()
        return {"place": self.place.name, **status, "last_error": self.error}


class RedundancyGroup(Wire):
    """Create with :meth:`open`."""

    def __init__(self, places: Sequence[Place], receive: Receiver, context: DriverContext) -> None:
        super().__init__(receive)
        self._context = context
        self._legs = [_Leg(place) for place in places]
        self._keepers: list[asyncio.Task[None]] = []
        self._chosen: _Leg | None = None  # started, or being started
        self._opened = False
        self._started: deque[Connection] = deque(maxlen=REMEMBERED)
        self._last_token = 0
        self._switch_overs = 0
        self._paused = False

    @classmethod
    async def open(cls, places: Sequence[Place], receive: Receiver, context: DriverContext) -> RedundancyGroup:
        """Connect both places and start one.

        :raises DeviceOffline: neither could be started; says why of both.
        """
        group = cls(places, receive, context)
        try:
            await group._open()
        except BaseException:
            await group.close()
            raise
        return group

    async def _open(self) -> None:
        for leg in self._legs:
            task = asyncio.create_task(self._keep(leg), name=f"connection to {leg.place.name}")
            task.add_done_callback(self._kept)
            self._keepers.append(task)
        for leg in self._legs:
            await leg.tried.wait()
            if (connection := leg.up) is None:
                continue
            self._chosen = leg
            try:
                await connection.start()
            except DeviceOffline as error:
                leg.error = str(error)
            else:
                self._opened = True
                return
        raise DeviceOffline("; ".join(f"{leg.place.name}: {leg.error}" for leg in self._legs))

    # Wire

    def send(self, asdu: bytes, *, first: bool = False) -> int:
        if self.closed.done():
            raise DeviceOffline(str(self.closed.result()))
        if not self._started or self._started[-1].closed.done():
            raise DeviceOffline("the other connection of the redundancy group is being started")
        self._last_token = token = self._started[-1].send(asdu, first=first)
        return token

    def withdraw(self, token: int) -> bool:
        connection = self._connection_of(token)
        return connection is not None and connection.withdraw(token)

    def went_out(self, token: int) -> bool:
        if not 0 < token <= self._last_token:
            return False
        connection = self._connection_of(token)
        return connection is None or connection.went_out(token)

    def recall(self, token: int) -> bool:
        connection = self._connection_of(token)
        return connection is not None and connection.recall(token)

    def _connection_of(self, token: int) -> Connection | None:
        """The one over which an ASDU was sent; ``None`` when that is forgotten."""
        return next((connection for connection in reversed(self._started) if token > connection.base), None)

    def pause(self) -> None:
        self._paused = True
        if self._started:
            self._started[-1].pause()

    def resume(self) -> None:
        self._paused = False
        if self._started:
            self._started[-1].resume()

    async def close(self) -> None:
        self._let_go()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(leg.connection.close() for leg in self._legs if leg.connection is not None))
        self._finish("closed by us")

    def status(self) -> dict[str, Any]:
        chosen, other = self._legs if self._chosen is not self._legs[1] else reversed(self._legs)
        return {
            **chosen.status(),
            "redundancy": {
                "active": chosen.place.name if chosen.up is not None and chosen.up in self._started else None,
                "switch_overs": self._switch_overs,
                "other": other.status(),
            },
        }

    # Keeping both up, and one of them started

    async def _keep(self, leg: _Leg) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                connection = await leg.place.dial(self.receive)
            except DeviceOffline as error:
                leg.error = str(error)
                leg.tried.set()
            else:
                began = monotonic()
                connection.started = partial(self._now_started, connection)
                leg.connection = connection
                leg.tried.set()
                self._note(f"{leg.place.name}: connected")
                await asyncio.wait([connection.closed])
                leg.error = str(connection.closed.result())
                self._note(f"{leg.place.name}: {leg.error}")
                self._lost(leg)
                if monotonic() - began > STEADY:
                    attempt = 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 10))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    def _note(self, text: str) -> None:
        """Frames of both connections are in one log: say there which one comes, goes and takes over."""
        if self._context.frames is not None:
            self._context.frames.note(text)

    def _kept(self, task: asyncio.Task[None]) -> None:
        """Keeping a connection never ends by itself; when it does that is a mistake of ours."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._context.log.error("%s: the redundancy group failed", task.get_name(), exc_info=error)
            self._finish(f"internal error: {type(error).__name__}: {error}")
        for leg in self._legs:
            leg.tried.set()

    def _now_started(self, connection: Connection) -> None:
        connection.base = self._last_token
        self._started.append(connection)
        if self._paused:
            connection.pause()
        if self._opened:
            self._switch_overs += 1
            self.switched()

    def _lost(self, leg: _Leg) -> None:
        if leg is not self._chosen or not self._opened or self.closed.done():
            return
        was_started = leg.connection is not None and leg.connection in self._started
        other = next(one for one in self._legs if one is not leg)
        if was_started and (connection := other.up) is not None:
            self._context.log.warning(
                "%s lost: %s; switching over to %s", leg.place.name, leg.error, other.place.name
            )
            self._note(f"switching over to {other.place.name}")
            self._chosen = other
            connection.begin()
        else:
            self._finish(f"{leg.place.name}: {leg.error}; {other.place.name}: {other.error or 'connected'}")

    def _finish(self, reason: str) -> None:
        self._let_go()
        for leg in self._legs:
            if leg.up is not None:
                leg.up.drop(reason)
        if not self.closed.done():
            self.closed.set_result(DeviceOffline(reason))

    def _let_go(self) -> None:
        """Keep no connection any more."""
        for task in self._keepers:
            task.cancel()
