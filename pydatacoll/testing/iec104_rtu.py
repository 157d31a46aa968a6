"""A simulated RTU (controlled station of IEC 60870-5-104) with points that change, commands, and faults on demand.

>>> async def example() -> None:
...     points = [Iec104Point(address=1, type="M_DP_NA_1", command=True, select=True), Iec104Point(address=100)]
...     async with Iec104Rtu(points) as rtu:
...         rtu.set(1, 100, 230.5)
...         rtu.faults.add(Iec104Fault("no_term", type=100))
...         print(rtu.port)

It has one redundancy group: all connections belong to it, at most one of them is started, and the one that was
started last gets the events. Events that nobody has acknowledged wait for the next one, oldest first; when the
buffer is full the oldest are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self

from pydatacoll.protocols.iec104.asdu import Asdu, encode, header
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone
from pydatacoll.protocols.iec104.types import Tag
from pydatacoll.testing.iec104_commands import RETURN_INFORMATION, CommandRecord, Operator
from pydatacoll.testing.iec104_events import Events
from pydatacoll.testing.iec104_faults import Iec104Fault, Iec104Faults
from pydatacoll.testing.iec104_points import SPONTANEOUS, Iec104Point, Image, State, Value, event
from pydatacoll.testing.iec104_requests import Reply, answer, end_of_initialization
from pydatacoll.testing.iec104_session import Session
from pydatacoll.testing.iec104_stream import Stream
from pydatacoll.testing.ports import kept_port

__all__ = ["Iec104Fault", "Iec104Point", "Iec104Rtu"]

PERIODIC, BACKGROUND = 1, 2


class Iec104Rtu:
    """Process image, buffer of events, and the listening sockets.

    :param points: what it has; :attr:`image` takes more later.
    :param commons: common addresses without points.
    :param paths: sockets it listens on, each on a port of its own.
    :param port: of the first path; the others follow; 0: any free ones.
    :param parameters: k, w and time-outs.
    :param zone: how its clock is set.
    :param clock_offset: seconds by which its clock is ahead at the start.
    :param announce: whether it sends end of initialisation (cause power on) to the first that starts it.
    :param cyclic: seconds between two sendings of the cyclic points (cause 1); 0: never.
    :param background: the same of all points that are interrogated (cause 2).
    :param buffer: ASDUs with events that wait at most.
    :param history: ASDUs and commands that are remembered.
    :param tls: for IEC 62351-3.
    :param faults: what goes wrong; rules may be added at any time.
    :ivar operator: what happens to commands.
    :ivar log: the last ASDUs received, newest last.
    :ivar counts: received ASDUs by type, and ``malformed``.
    :ivar accepted: number of connections accepted so far, without those refused.
    :ivar refused: number of connections reset at once.
    :ivar endings: why the last connections ended, newest last.
    """

    def __init__(
        self,
        points: Iterable[Iec104Point] = (),
        *,
        commons: Iterable[int] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        paths: int = 1,
        parameters: Parameters | None = None,
        zone: Zone | None = None,
        clock_offset: float = 0.0,
        announce: bool = False,
        cyclic: float = 0.0,
        background: float = 0.0,
        buffer: int = 10_000,
        history: int = 1000,
        faults: Iec104Faults | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._timers: set[asyncio.TimerHandle] = set()
        self.parameters = parameters or Parameters()
        self.zone = zone or Zone()
        self.clock_offset = clock_offset
        self.image = Image(points, commons)
        self.faults = faults or Iec104Faults()
        self.operator = Operator(self, history=history)
        self.log: deque[Asdu] = deque(maxlen=history)
        self.counts: Counter[str] = Counter()
        self.accepted = self.refused = 0
        self.endings: deque[str] = deque(maxlen=history)
        self._host, self._tls = host, tls
        self._ports = [port + path if port else 0 for path in range(paths)]
        self._announce = announce
        self._cycles = [(cyclic, PERIODIC), (background, BACKGROUND)]
        self._events = Events(buffer, self.faults, self.zone, self._later)
        self._events.added = self._pump
        self._started_at = time.monotonic()
        self._kept = contextlib.ExitStack()
        self._listening: dict[int, asyncio.Server] = {}
        self._sessions: set[Session] = set()
        self._active: Session | None = None
        self._muted = False
        self._stream: Stream | None = None
        self._waiting: list[asyncio.Future[None]] = []

    # ---- start and stop ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start it; ports chosen by the system are its own until the end, also while it is stopped."""
        with contextlib.ExitStack() as kept:
            self._ports = [port or kept.enter_context(kept_port(self._host)) for port in self._ports]
            await self.start()
            self._kept = kept.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._kept:
            await self.stop()

    async def start(self) -> None:
        """Listen on all paths; an RTU that was stopped takes its ports again."""
        for path in range(len(self._ports)):
            await self.open_path(path)
        for seconds, cause in self._cycles:
            if seconds:
                self._later(seconds, partial(self._cycle, seconds, cause))

    async def stop(self) -> None:
        """Stop listening and drop all connections; values and events stay."""
        self.stream(0)
        self.operator.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for path in list(self._listening):
            await self.close_path(path)

    async def open_path(self, path: int) -> None:
        """Listen on a path that was closed."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            partial(Session, self, path), self._host, self._ports[path], ssl=self._tls
        )
        self._ports[path] = server.sockets[0].getsockname()[1]
        self._listening[path] = server

    async def close_path(self, path: int) -> None:
        """Stop listening on a path and drop its connections."""
        server = self._listening.pop(path)
        server.close()
        self.drop(path)
        with contextlib.suppress(asyncio.CancelledError):
            await server.wait_closed()

    @property
    def port(self) -> int:
        """The TCP port of the first path, also after it was chosen by the system."""
        return self._ports[0]

    @property
    def ports(self) -> list[int]:
        """The same of all paths."""
        return list(self._ports)

    # ---- connections ------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._sessions)

    @property
    def active(self) -> int | None:
        """The path of the connection that is started; ``None``: none is."""
        return None if self._active is None else self._active.path

    def drop(self, path: int | None = None) -> None:
        """Close all connections (of a path) at once; new ones are accepted."""
        for session in self._on(path):
            session.abort()

    def mute(self, path: int | None = None) -> None:
        """All connections (of a path), and without ``path`` new ones too, neither send nor hear anything."""
        self._muted = self._muted or path is None
        for session in self._on(path):
            session.mute()

    def unmute(self) -> None:
        """New connections work again; those that were muted are lost."""
        self._muted = False

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever something was received, sent or lost."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def _on(self, path: int | None) -> list[Session]:
        return [session for session in self._sessions if path in (None, session.path)]

    # ---- values and events ------------------------------------------------------------------------------------

    @property
    def commands(self) -> deque[CommandRecord]:
        """The last commands, newest last."""
        return self.operator.records

    @property
    def pending(self) -> int:
        """ASDUs with events that wait to be sent."""
        return len(self._events)

    @property
    def lost(self) -> int:
        """ASDUs with events that there was no room for."""
        return self._events.lost

    def time(self) -> float:
        """What its clock shows, epoch seconds."""
        return time.time() + self.clock_offset

    def set_clock(self, seconds: float) -> None:
        """Set its clock."""
        self.clock_offset = seconds - time.time()

    def elapsed(self) -> float:
        """Seconds since it was made; what ``moves`` of points get."""
        return time.monotonic() - self._started_at

    def value(self, common: int, address: int) -> bool | int | float:
        """What a point is now.

        :raises KeyError: there is no such point.
        """
        state = self.image.of(common, address)
        state.refresh(self.elapsed())
        return state.plain

    def put(self, common: int, address: int, value: Value | None = None, *, quality: int | None = None) -> None:
        """Change a point without telling anybody.

        :raises KeyError: there is no such point.
        """
        self.image.of(common, address).set(value, quality)

    def set(
        self,
        common: int,
        address: int,
        value: Value | None = None,
        *,
        quality: int | None = None,
        time: float | None = None,
        cause: int = SPONTANEOUS,
        tagged: bool = True,
    ) -> None:
        """Change a point and report it.

        :param quality: :class:`~pydatacoll.model.quality.Quality` bits; unset: as they were, like ``value``.
        :param time: of the event, epoch seconds; unset: what the clock shows.
        :param tagged: false: as a type without time tag.
        :raises KeyError: there is no such point.
        :raises LocalProtocolError: the type cannot hold the value.
        """
        state = self.image.of(common, address)
        state.set(value, quality)
        self.report(self._event(state, cause, time, tagged=tagged))

    def send(self, asdu: Asdu | bytes) -> None:
        """Send any ASDU in the order of the events; octets may be wrong on purpose."""
        self.report(asdu if isinstance(asdu, bytes) else encode(asdu))

    def stream(self, rate: float, *, tick: float = 0.02, bad: float = 0.0) -> Stream:
        """From now on points change by themselves and are reported; all but counters and those that are commanded
        or move anyway.

        :param rate: events per second of all points together; infinite: as many as the connection takes; 0: none.
        :param tick: seconds between two bursts of a finite rate.
        :param bad: share of the points that are not topical in one of four turns.
        """
        if self._stream is not None:
            self._stream.stop()
        self._stream = Stream(self, rate, tick=tick, bad=bad)
        self._pump()
        return self._stream

    def forget_events(self) -> None:
        """Empty the buffer of events."""
        self._events.clear()

    def restart(self, cause: int = 1) -> None:
        """Report end of initialisation of all common addresses; see :class:`EndOfInitialization`."""
        for common in sorted(self.image.commons):
            self.send(end_of_initialization(common, cause))

    def tag(self, state: State, seconds: float | None = None, *, invalid: bool = False) -> Cp24 | Cp56 | None:
        """The time tag of an event of a point; ``None``: its events have none."""
        if state.event is None or state.event.tag is Tag.NONE:
            return None
        at = self.time() if seconds is None else seconds
        make = self.zone.tag if state.event.tag is Tag.CP56 else self.zone.short_tag
        return make(at, invalid=invalid)

    def _event(self, state: State, cause: int, seconds: float | None, *, tagged: bool = True) -> bytes:
        return event(state, cause, self.tag(state, seconds) if tagged else None)

    def report(self, octets: bytes) -> None:
        """Put an event into the buffer, with what goes wrong with it."""
        self._events.put(octets, self.time())

    def operated(self, session: Session, reply: Reply, state: State, value: Value) -> None:
        """A command has changed a point: return information to who gave it, or to whoever comes."""
        state.set(value, None)
        if state.answer is None:
            return
        octets = self._event(state, RETURN_INFORMATION, None)
        if session.active:
            reply.send(octets, event=True)
        else:
            self.report(octets)

    def _cycle(self, seconds: float, cause: int) -> None:
        self._later(seconds, partial(self._cycle, seconds, cause))
        if self._active is not None:
            made, elapsed = self.image.periodic(cyclic=cause == PERIODIC), self.elapsed
            self._active.run(block.asdu(cause, elapsed()) for block in made)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._timers.add(timer)

    def _pump(self) -> None:
        if self._active is not None:
            self._active.pump()

    # ---- what sessions tell -----------------------------------------------------------------------------------

    def opened(self, session: Session) -> bool:
        if self.faults.rules and self.faults.match(frozenset({"refuse"})) is not None:
            self.refused += 1
            return False
        self._sessions.add(session)
        self.accepted += 1
        if self._muted:
            session.mute()
        self.changed()
        return True

    def started(self, session: Session) -> None:
        before, self._active = self._active, session
        if before is not None and before is not session:
            self._events.put_back(before.give_up())
        if self._announce:
            self._announce = False
            for common in sorted(self.image.commons):
                session.answer(end_of_initialization(common, 0))

    def received(self, session: Session, octets: bytes) -> None:
        if session is not self._active:
            session.abort()  # data transfer belongs to the connection that was started last
            return
        try:
            self.counts[str(header(octets).type_id)] += 1
            answer(self, session, octets)
        except RemoteProtocolError:
            self.counts["malformed"] += 1

    def next_event(self) -> bytes | None:
        found = self._events.take()
        if found is None and self._stream is not None and math.isinf(self._stream.rate):
            return self._stream.next()
        return found

    def ended(self, session: Session, unsent: list[bytes]) -> None:
        self._events.put_back(unsent)
        if self._active is session:
            self._active = None

    def closed(self, session: Session) -> None:
        self._sessions.discard(session)
        self.endings.append(session.reason)
        self.changed()

    def changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
