"""What a manager process and a worker process of lib60870 tell each other, and the way it goes.

Each message is a length of four octets and a msgpack array. One socket carries those of all stations of a worker,
each in order.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

SERVED = "pydatacoll.protocols.iec104.c104_worker"
"""The module that a worker process runs."""
READ = 16_384
"""Octets taken from the socket at a time, then others have their turn."""
HIGH_WATER = 1 << 20
"""Octets that may wait to be written before the writer is told to pause."""
LONGEST = 1 << 24

_LENGTH = struct.Struct("<I")


class _Message(msgspec.Struct, frozen=True, array_like=True):
    pass


# To the worker. ``station`` is the manager's number for a way to a station; none is used twice.


class Open(_Message, frozen=True, tag="open"):
    """Connect to a station, start data transfer.

    :ivar timers: t0 to t3, whole seconds.
    :ivar patience: how long the library waits for the answer to a command, milliseconds.
    """

    station: int
    address: str
    port: int
    k: int
    w: int
    timers: tuple[int, int, int, int]
    originator: int
    patience: int
    frames: bool


class Send(_Message, frozen=True, tag="send"):
    """Make the library send this. There is room in the window k."""

    station: int
    token: int
    asdu: bytes


class Recall(_Message, frozen=True, tag="recall"):
    """The time of what was sent is over: drop the connection unless it has arrived."""

    station: int
    token: int


class Pause(_Message, frozen=True, tag="pause"):
    """Read nothing from the station, or go on reading."""

    station: int
    on: bool


class Frames(_Message, frozen=True, tag="frames"):
    """Whether somebody wants to see frames."""

    station: int
    on: bool


class Close(_Message, frozen=True, tag="close"):
    """End it; :class:`Closed` is the answer."""

    station: int


# To the manager.


class Ready(_Message, frozen=True, tag="ready"):
    """The library is loaded.

    :ivar version: of the package c104.
    """

    version: str


class Missing(_Message, frozen=True, tag="missing"):
    """The library cannot be loaded; the worker ends."""

    reason: str


class Opened(_Message, frozen=True, tag="opened"):
    """STARTDT is confirmed."""

    station: int
    peer: str


class Received(_Message, frozen=True, tag="received"):
    """What has come.

    :ivar octets: that went over the line since the last time, also those that are no ASDU.
    """

    station: int
    octets: int
    asdus: list[bytes]


class Progress(_Message, frozen=True, tag="progress"):
    """Totals since the way was opened.

    :ivar acknowledged: of what was sent, by the station.
    :ivar returned: calls of the library that have returned.
    :ivar octets: sent over the line.
    :ivar stalls: times reading was paused since nobody took what came.
    """

    station: int
    acknowledged: int
    returned: int
    octets: int
    stalls: int


class Unsupported(_Message, frozen=True, tag="unsupported"):
    """The library cannot send it.

    :ivar answer: the ASDU that says so: unknown type identification.
    """

    station: int
    token: int
    answer: bytes


class Logged(_Message, frozen=True, tag="logged"):
    """A frame, when they are wanted."""

    station: int
    sent: bool
    frame: bytes


class Closed(_Message, frozen=True, tag="closed"):
    """The way is over, or could not be opened; the last message about it.

    :ivar counter: name of what went wrong, for the counters of the device; empty: nothing is counted.
    :ivar refused: the station could not be connected to: another of its addresses may be tried.
    """

    station: int
    reason: str
    counter: str = ""
    refused: bool = False


ToWorker = Open | Send | Recall | Pause | Frames | Close
ToManager = Ready | Missing | Opened | Received | Progress | Unsupported | Logged | Closed

M = TypeVar("M")


class Channel(asyncio.BufferedProtocol, Generic[M]):
    """One end of the socket.

    :param expected: the messages that come in here.
    :param received: called with each.
    :param lost: called once, when the other end is gone or sends what cannot be understood.
    :param full: called when the other end does not take what is written, and when it does again.
    """

    def __init__(
        self,
        expected: Any,
        received: Callable[[M], None],
        lost: Callable[[str], None],
        full: Callable[[bool], None],
    ) -> None:
        self._decode = cast("Callable[[bytes], M]", msgspec.msgpack.Decoder(expected).decode)
        self._encode = msgspec.msgpack.Encoder().encode
        self._received = received
        self._lost = lost
        self._full = full
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ))
        self._rest = b""
        self._reason = ""

    def send(self, message: _Message) -> None:
        """Pass a message on; dropped once the other end is gone, which its owner is told."""
        if self._transport is None or self._transport.is_closing():
            return
        data = self._encode(message)
        self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """End it when everything is written."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._rest + self._buffer[:nbytes]
        position, end = 0, len(data)
        while end - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, position)
            if length > LONGEST:
                self._give_up(f"a message of {length} octets")
                return
            stop = position + _LENGTH.size + length
            if stop > end:
                break
            try:
                message = self._decode(data[position + _LENGTH.size : stop])
            except msgspec.MsgspecError as error:
                self._give_up(f"a message that cannot be understood: {error}")
                return
            self._received(message)
            position = stop
        self._rest = data[position:]
        if nbytes == READ and self._transport is not None:
            # some loops would go on reading
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False  # closes

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self._reason or (str(exc) if exc is not None else "the other end is gone"))

    def pause_writing(self) -> None:
        self._full(True)

    def resume_writing(self) -> None:
        self._full(False)

    def _give_up(self, reason: str) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()
