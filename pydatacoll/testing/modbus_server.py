"""A fast simulated Modbus TCP server with values that move and faults on demand.

>>> async def example() -> None:
...     async with ModbusServer(units=[1, 2]) as server:
...         server.holding(1)[100] = 5
...         server.faults.add(Fault("silence", unit=2))
...         print(server.port)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Self, cast

from pydatacoll.codec.registers import Layout, encode
from pydatacoll.testing.faults import RIGHT, UNANSWERED, Fault, Faults
from pydatacoll.testing.modbus_tables import Bits, Registers, Unit, handle
from pydatacoll.testing.ports import kept_port

__all__ = ["Fault", "ModbusServer", "Received"]

_HEADER = struct.Struct(">HHHB")
_SHIFT = 2
_READS = frozenset({1, 2, 3, 4})
_WRITES = frozenset({5, 6, 15, 16, 22, 23})
_BLOCK = 251
"""Length of the rotating block in registers; prime, so that no block size divides it."""


class Received(NamedTuple):
    """A request as the server saw it; ``number`` counts registers or bits."""

    unit: int
    function: int
    address: int
    number: int
    pdu: bytes


def _touched(pdu: bytes) -> tuple[int, int]:
    """First address and count of a request."""
    if len(pdu) < 5:
        return 0, 0
    address, count = struct.unpack_from(">HH", pdu, 1)
    return address, count if pdu[0] in (1, 2, 3, 4, 15, 16, 23) else 1


class ModbusServer:
    """Units, their tables, and the listening socket.

    :ivar received: the last requests, newest last, when ``history`` is not 0.
    :ivar written: those of them that write, as many again: reads do not push them out.
    :ivar requests: number of requests served.
    :ivar accepted: number of connections accepted so far, without those refused.
    :ivar max_connections: more are closed at once, as small devices do; ``None`` for no limit.
    :ivar refused: number of connections closed at once.
    """

    def __init__(
        self,
        *,
        units: Iterable[int] = (1,),
        host: str = "127.0.0.1",
        port: int = 0,
        history: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._port = host, port
        self._clock = clock
        self._started = clock()
        self.units: dict[int, Unit] = {unit: Unit() for unit in units}
        self.faults = Faults()
        self.max_connections: int | None = None
        self.refused = 0
        self.received: deque[Received] = deque(maxlen=history)
        self.written: deque[Received] = deque(maxlen=history)
        self.requests = 0
        self.rotating = False
        self._block = b""
        self._shift = 0
        self._kept = contextlib.ExitStack()
        self._server: asyncio.Server | None = None
        self._sessions: set[_Session] = set()
        self.accepted = 0

    async def __aenter__(self) -> Self:
        """Start it; a port chosen by the system is its own until the end, also while it is stopped."""
        with contextlib.ExitStack() as kept:
            self._port = self._port or kept.enter_context(kept_port(self._host))
            await self.start()
            self._kept = kept.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._kept:
            await self.stop()

    @property
    def port(self) -> int:
        """The TCP port, also after it was chosen by the system."""
        return self._port

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._sessions)

    async def start(self) -> None:
        """Listen; a server that was stopped takes its port again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop all connections."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.drop()
            with contextlib.suppress(asyncio.CancelledError):
                await server.wait_closed()

    def drop(self) -> None:
        """Close all connections at once; new ones are accepted."""
        for session in list(self._sessions):
            session.abort()

    # Tables

    def holding(self, unit: int = 1) -> Registers:
        return self.units[unit].holding

    def inputs(self, unit: int = 1) -> Registers:
        return self.units[unit].inputs

    def coils(self, unit: int = 1) -> Bits:
        return self.units[unit].coils

    def discrete(self, unit: int = 1) -> Bits:
        return self.units[unit].discrete

    def put(self, table: Registers, address: int, layout: Layout, value: bool | int | float | str) -> None:
        """Store a typed value."""
        table.store(address, encode(layout, value))

    def rotate(self) -> None:
        """From now on every register reads differently every time, at next to no cost."""
        self.rotating = True
        words = [(index * 257) & 0xFFFF for index in range(_BLOCK)]
        self._block = struct.pack(f">{_BLOCK}H", *words) * 2

    def elapsed(self) -> float:
        """Seconds since the server was made; what signals get."""
        return self._clock() - self._started

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """The right reply PDU; ``None`` when there is no such unit (a gateway stays silent)."""
        target = self.units.get(unit)
        if self.rotating and target is not None and pdu[0] in (3, 4) and len(pdu) == 5:
            count = pdu[4]
            inside = (pdu[1] << 8 | pdu[2]) + count <= target.holding.size
            if 1 <= count <= 125 and not pdu[3] and inside and not target.holding.holes:
                self._shift = shift = (self._shift + _SHIFT) % (_BLOCK * 2)
                return pdu[:1] + bytes((count * 2,)) + self._block[shift : shift + count * 2]
        return None if target is None else handle(target, pdu, self.elapsed())

    def note(self, right: bool, unit: int, pdu: bytes) -> None:
        """Remember which numbers of sequences the last answer had, when it will be late or is made wrong."""
        target = self.units.get(unit)
        if target is not None and pdu[0] in (3, 4, 23):
            table = target.inputs if pdu[0] == 4 else target.holding
            for sequence in table.sequences(*_touched(pdu)):
                (sequence.late if right else sequence.spoiled).add(sequence.value)


class _Session(asyncio.Protocol):
    """One client."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[bytes] | None = None
        """What waits until a reply that is sent slowly has ended."""
        self._muted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        server = self._server
        full = server.max_connections is not None and len(server._sessions) >= server.max_connections
        if full or (server.faults.rules and server.faults.refuses()):
            server.refused += 1
            self._reset()
            return
        server._sessions.add(self)
        server.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._server._sessions.discard(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _reset(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        server = self._server
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        replies: list[bytes] = []
        while end - position >= 8:
            transaction, protocol, length, unit = _HEADER.unpack_from(buffer, position)
            if protocol or not 2 <= length <= 254:
                self.abort()
                return
            stop = position + 6 + length
            if stop > end:
                break
            pdu = buffer[position + 7 : stop]
            position = stop
            server.requests += 1
            if server.received.maxlen:
                received = Received(unit, pdu[0], *_touched(pdu), pdu)
                server.received.append(received)
                if pdu[0] in _WRITES:
                    server.written.append(received)
            if server.faults.rules:
                fault = server.faults.match(unit, pdu[0], *_touched(pdu))
                if fault is not None:
                    self._write(b"".join(replies))
                    replies.clear()
                    self._misbehave(fault, transaction, unit, pdu)
                    continue
            reply = server.answer(unit, pdu)
            if reply is not None:
                replies.append(_HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply)
        self._buffer = buffer[position:]
        if replies:
            self._write(b"".join(replies))

    def _write(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif data and self._transport is not None and not self._transport.is_closing() and not self._muted:
            self._transport.write(data)

    def _trickle(self, frame: bytes, pause: float) -> None:
        held, self._held = self._held, None
        self._write(frame[:1])
        self._held = held or []
        if len(frame) > 1:
            self._later(pause, lambda: self._trickle(frame[1:], pause))
            return
        self._held = None
        for data in held or ():
            self._write(data)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._timers.add(timer)

    def _misbehave(self, fault: Fault, transaction: int, unit: int, pdu: bytes) -> None:  # noqa: PLR0912 - a table
        transport = self._transport
        if transport is None:
            return
        if fault.kind == "exception":
            reply = bytes((pdu[0] | 0x80, fault.code))
        elif fault.kind in UNANSWERED and pdu[0] in _READS:
            reply = b""  # nothing is read for it: a sequence goes on with the next right reply
        else:
            reply = self._server.answer(unit, pdu) or bytes((pdu[0] | 0x80, 11))
            self._server.note(fault.kind in RIGHT, unit, pdu)
        match fault.kind:
            case "silence":
                return
            case "reset":
                self._reset()
                return
            case "close":
                transport.close()
                return
            case "garbage":
                self._write(bytes(self._server.faults.rng.randrange(128, 256) for _ in range(40)))
                return
            case "wrong_transaction":
                transaction = transaction + 0x1234 & 0xFFFF
            case "wrong_unit":
                unit = unit + 1 & 0xFF
            case "wrong_function":
                reply = bytes((pdu[0] ^ 7 & 0x7F,)) + reply[1:]
            case "short":
                reply = reply[:1] + bytes((max(0, reply[1] - 2),)) + reply[2:-2] if pdu[0] < 5 else reply[:-2]
            case "empty":
                reply = reply[:1] + b"\0" if pdu[0] < 5 else reply[:1]
            case "surplus":
                reply = reply[:1] + bytes((reply[1] + 2,)) + reply[2:] + b"\0\0" if pdu[0] < 5 else reply + b"\0\0"
            case _:
                pass
        frame = _HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply
        if fault.kind == "delay":
            self._later(fault.seconds, lambda: self._write(frame))
        elif fault.kind == "half":
            self._write(frame[: len(frame) // 2])
            self._muted = True
        elif fault.kind == "cut":
            self._write(frame[: len(frame) // 2])
            transport.close()
        elif fault.kind == "trickle" and self._held is None:
            self._trickle(frame, fault.seconds)
        else:
            self._write(frame)
