"""One connection to a controlled station: the link over a socket.

Its owner starts data transfer when he wants it, for of the connections of a redundancy group only one may be
started. What arrives is handed over as one list for each piece of data, at most :data:`READ` octets. After a full
one the others have their turn, also with loops that would go on reading what one station sends at full rate.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, NamedTuple, cast

from pydatacoll.errors import DeviceOffline
from pydatacoll.model import time_to_wire
from pydatacoll.protocols import sockets
from pydatacoll.protocols.iec104 import tls
from pydatacoll.protocols.iec104.apci import MAX_ASDU, MAX_LENGTH
from pydatacoll.protocols.iec104.errors import LocalProtocolError
from pydatacoll.protocols.iec104.events import AsduReceived, Closed, Event, Started, State, Stopped, TestConfirmed
from pydatacoll.protocols.iec104.link import Link
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.wire import Receiver, Wire
from pydatacoll.resolver import in_words
from pydatacoll.sdk import DriverContext

READ = 16_384
"""Octets taken at a time."""
UNREAD_BY_PEER = 65_536
"""Octets that may wait in our own buffer, besides a full window; a station that does not read is given up."""
FAREWELL = 0.5
"""Longest wait for STOPDT con when closing, then for the end of the connection, seconds."""
HELD_BACK = 0.1
"""Seconds between two looks at the timers while reading is paused."""
TURNS = 2
"""Turns of the loop after which everything has been looked at once: some loops look at timers first."""
TLS_TURNS = TURNS + 262_144 // READ
"""The same with TLS, whose layer keeps that many octets to itself."""
REMEMBERED = 8192
"""ASDUs that were never sent, of which that is still known; more than the queue holds."""

_BLAME = {
    "garbage": "the device sends what is not IEC 104",
    "control": "the device sends a wrong frame",
    "sequence": "the device counts wrongly",
    "acknowledgement": "the device acknowledges wrongly",
    "unexpected": "the device sends what does not belong here",
    "t1": "the device does not answer",
}


class Fault(NamedTuple):
    """How a station broke the protocol."""

    time: float
    peer: str
    cause: str
    reason: str
    frame: str


class Past:
    """What outlives a connection.

    :ivar fault: the last one.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None

    def status(self) -> dict[str, Any]:
        fault = self.fault
        return {"last_fault": None if fault is None else {**fault._asdict(), "time": time_to_wire(fault.time)}}


class Connection(Wire, asyncio.BufferedProtocol):
    """A connection in the state ``stopped`` once it is made; see
    :func:`~pydatacoll.protocols.iec104.opening.dial`.

    :param past: of the connections to the station before.
    :param expires: until when our own certificate is valid, epoch seconds.
    :ivar base: tokens are above it; set before anything is sent.
    :ivar started: called when STARTDT is confirmed, before anything is received.
    """

    def __init__(
        self,
        receive: Receiver,
        parameters: Parameters,
        context: DriverContext,
        past: Past,
        *,
        expires: float | None = None,
    ) -> None:
        super().__init__(receive)
        self.base = 0
        self.started: Callable[[], None] = _nobody
        self.peer = ""
        self._past = past
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._link = Link("controlling", monotonic(), parameters)
        self._k = parameters.k
        self._limit = UNREAD_BY_PEER + parameters.k * (MAX_LENGTH + 2)
        self._buffer = memoryview(bytearray(READ))
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLObject | None = None
        self._expires = expires
        self._timer: asyncio.Handle | None = None
        self._timer_at = math.inf
        self._looking = False
        self._paused = False
        self._settled: asyncio.Future[None] = self._loop.create_future()  # started, later stopped
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._in = self._out = 0
        self._round_trip: float | None = None
        self._last_token = 0
        self._never: dict[int, None] = {}
        # how many octets had been written when a frame was, of those that may not be acknowledged
        self._positions: dict[int, int] = {}
        self._queued: set[int] = set()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._tls = transport.get_extra_info("ssl_object")
        self.peer = _place(transport.get_extra_info("peername"))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._socket = sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.forgetful(sock)
        self._arm()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed.done():
            return
        self._in += nbytes
        self._context.counters["bytes_in"] += nbytes
        self._link.tap = self._context.frames
        self._act(self._link.receive(bytes(self._buffer[:nbytes]), monotonic()))
        if nbytes == READ and self._transport is not None and not self.closed.done():
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._paused:
            self.resume()

    def eof_received(self) -> bool:
        return False  # closes

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        if isinstance(exc, ssl.SSLError):
            self._finish(tls.in_words(exc))
        elif exc is not None and not isinstance(exc, ConnectionResetError):
            self._finish(f"the connection was lost: {in_words(exc)}")
        elif self._link.state is State.STARTING:
            perhaps = "not know this one, or want TLS" if self._tls is None else "or not accept our certificate"
            self._finish(
                "the device closed the connection before it confirmed STARTDT; it may serve another station "
                f"already, {perhaps}"
            )
        else:
            self._finish("the device closed the connection")
        self._gone.set_result(None)

    # Wire

    def send(self, asdu: bytes, *, first: bool = False) -> int:
        if not 1 <= len(asdu) <= MAX_ASDU:
            raise ValueError(f"an ASDU has 1 to {MAX_ASDU} octets, not {len(asdu)}")
        if self.closed.done():
            raise DeviceOffline(str(self.closed.result()))
        self._link.tap = self._context.frames
        try:
            self._last_token = token = self._link.send(asdu, monotonic(), first=first)
        except LocalProtocolError as error:
            raise DeviceOffline(str(error)) from error
        self._queued.add(token)
        self._flush()
        if len(self._positions) > 2 * self._k:
            unacknowledged = self._link.unacknowledged()
            self._positions = {token: self._positions[token] for token in unacknowledged}
        return self.base + token

    def withdraw(self, token: int) -> bool:
        token -= self.base
        if self._link.withdraw(token):
            self._queued.discard(token)
            self._note_unsent([token])
        return token in self._never

    def went_out(self, token: int) -> bool:
        token -= self.base
        return 0 < token <= self._last_token and token not in self._queued and token not in self._never

    def recall(self, token: int) -> bool:
        if self.withdraw(token):
            return True
        token -= self.base
        if self.closed.done() or token not in self._link.unacknowledged():
            return False
        if self._out - self._unconfirmed() < self._positions[token]:
            self._context.counters["recalled"] += 1
            self.drop("a command did not arrive before its time was over")
        return False

    def pause(self) -> None:
        if self._transport is not None and not self.closed.done():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
        if self._transport is not None and not self.closed.done():
            self._transport.resume_reading()

    async def close(self) -> None:
        try:
            self.resume()
            self._stop()
            if self._link.state is State.STOPPING:
                await self._until_settled(FAREWELL)
            if not self.closed.done() and self._transport is not None:
                self._finish("closed by us")
                self._reset_only_if_needed()
                self._transport.close()
                await asyncio.wait([self._gone], timeout=FAREWELL)
        finally:
            self.drop("closed by us")
        await asyncio.wait([self._gone], timeout=FAREWELL)

    def status(self) -> dict[str, Any]:
        link = self._link.status(monotonic())
        return {
            "state": link.state.value,
            "peer": self.peer,
            "timers": {name: round(left, 3) for name, left in link.timers.items()},
            "k": link.k,
            "unacknowledged": link.unacknowledged,
            "w": link.w,
            "unconfirmed": link.unconfirmed,
            "waiting": link.waiting,
            "next_sent": link.next_sent,
            "next_received": link.next_received,
            "counters": {**link.counters, "bytes_in": self._in, "bytes_out": self._out},
            "round_trip": None if self._round_trip is None else round(self._round_trip, 6),
            "paused": self._paused,
            "tls": None if self._tls is None else tls.status(self._tls, self._expires, self._context.wall()),
            **self._past.status(),
        }

    # Starting and stopping

    def begin(self) -> None:
        """Send STARTDT act; ``started`` or ``closed`` follows. Once for a connection."""
        if not self.closed.done():
            self._link.tap = self._context.frames
            self._link.start(monotonic())
            self._flush()

    async def start(self) -> None:
        """Start data transfer; wait for the confirmation. Otherwise the connection is over.

        :raises DeviceOffline: it did not come within t1, or the connection was lost.
        """
        self.begin()
        try:
            await self._until_settled(None)
        except asyncio.CancelledError:
            self.drop("given up before data transfer had started")
            raise
        if self.closed.done():
            raise DeviceOffline(str(self.closed.result()))

    def _stop(self) -> None:
        """Stop data transfer when that goes at once."""
        if self._link.state is not State.STARTED or self._transport is None:
            return
        if self._transport.get_write_buffer_size() == 0:
            self._settled = self._loop.create_future()
            self._link.tap = self._context.frames
            self._link.stop(monotonic())
            self._flush()

    async def _until_settled(self, longest: float | None) -> None:
        """Wait until data transfer has started, or stopped, or the connection is over."""
        futures: list[asyncio.Future[Any]] = [self._settled, self.closed]
        await asyncio.wait(futures, timeout=longest, return_when=asyncio.FIRST_COMPLETED)

    # What happens

    def _act(self, events: Sequence[Event]) -> None:
        self._flush()  # before others work on what has come
        asdus: list[bytes] = []
        for event in events:
            if type(event) is AsduReceived:
                asdus.append(event.data)
            elif isinstance(event, Started):
                self._settle()
                self.started()
            elif isinstance(event, Stopped):
                self._note_unsent(event.unsent)
                self._settle()
            elif isinstance(event, TestConfirmed):
                self._round_trip = event.round_trip
        if asdus and not self.closed.done():
            self.receive(asdus)
        if events and isinstance(last := events[-1], Closed):
            self._fail(last)

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _fail(self, event: Closed) -> None:
        """The station broke the protocol, or did not keep its time."""
        self._note_unsent(event.unsent)
        self._context.counters[f"link_{event.cause}"] += 1
        frame = event.error.data.hex(" ") if event.error is not None else ""
        self._past.fault = Fault(self._context.wall(), self.peer, event.cause, event.reason, frame)
        self.drop(f"{_BLAME[event.cause]}: {event.reason}")

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        if self._transport is not None and not self._gone.done():
            self._reset_only_if_needed()
            self._transport.abort()
        self._finish(reason)

    def _reset_only_if_needed(self) -> None:
        if self._socket is not None and not self._unconfirmed():
            sockets.orderly(self._socket)

    def _finish(self, reason: str) -> None:
        if self.closed.done():
            return
        for event in self._link.close(reason):
            if isinstance(event, Closed):
                self._note_unsent(event.unsent)
        self._queued.clear()
        self._positions.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed.set_result(DeviceOffline(reason))

    def _note_unsent(self, tokens: Iterable[int]) -> None:
        self._never.update(dict.fromkeys(tokens))
        while len(self._never) > REMEMBERED:
            del self._never[next(iter(self._never))]

    # Sending

    def _flush(self) -> None:
        """Write what the link wants to send, and set the timer."""
        data = self._link.data_to_send()
        if data and self._transport is not None:
            self._out += len(data)
            self._context.counters["bytes_out"] += len(data)
            self._transport.write(data)
            if self._queued:
                waiting = set(self._link.unsent())
                self._positions.update(dict.fromkeys(self._queued - waiting, self._out))
                self._queued &= waiting
            if self._transport.get_write_buffer_size() > self._limit:
                self.drop("the device does not read what is sent to it")
        self._arm()

    def _unconfirmed(self) -> int:
        """Octets sent that the station's end has not confirmed, as far as the system can tell."""
        if self._transport is None or self._socket is None:
            return 0
        return sockets.unconfirmed(self._transport, self._socket)

    # Timers

    def _arm(self) -> None:
        """One timer for all. It is not moved when the deadline moves away, which happens with each piece of data:
        it fires, does nothing and is set anew. Some loops do not tell when what is due at once is called: so that
        is noted."""
        deadline = self._link.next_deadline
        if deadline is None or self._looking or self.closed.done():
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._link.tap = self._context.frames
        self._link.tick(monotonic(), unread=True)
        self._looking = self._overdue
        self._flush()
        if self._looking:
            self._look(TURNS if self._tls is None else TLS_TURNS, self._in + self._unread())

    @property
    def _overdue(self) -> bool:
        deadline = self._link.next_deadline
        return deadline is not None and deadline <= monotonic()

    def _look(self, turns: int, until: int) -> None:
        """Something seems to be missing: read what has arrived before that is said. After a standstill of this
        process it lies there, perhaps behind a lot of data.

        :param turns: of the loop that it takes at least.
        :param until: octets received when everything that is there now has been read.
        """
        self._looking = False
        if self.closed.done():
            return
        if not self._overdue:
            self._arm()
        elif self._paused:
            self._timer = self._loop.call_later(HELD_BACK, self._on_timer)
        elif turns > 0 or (self._in < until and self._unread()):
            self._looking = True
            self._loop.call_soon(self._look, turns - 1, until)
        else:
            self._link.tap = self._context.frames
            self._act(self._link.tick(monotonic()))

    def _unread(self) -> int:
        return 0 if self._socket is None else sockets.unread(self._socket)


def _place(address: tuple[Any, ...] | None) -> str:
    """A socket address as text."""
    if address is None:
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _nobody() -> None:
    """Stands for who does not want to know."""
