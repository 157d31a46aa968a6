"""What a station and lib60870 say to each other passes through here, octet for octet.

The library connects to a port of this process, and this process to the station. So the ASDUs are seen as they are
on the line. What c104 itself hands out is less: nothing of types it does not know, no summer time bit and no
validity of a time tag, no cause of a refusal; and of each frame that it hands out whole it loses some memory.

The rules:

1. Octets go on in both directions as they come; frames are only looked at.
2. What the station sends is handed over when it has started data transfer and counts as it must: N(S) is the next
   number. Anything else, and what is no frame, ends the way; the library would end it too, without saying why.
3. The library executes a selected command as soon as the select is confirmed. That frame, and all behind it, waits
   here until the owner has decided (:meth:`Relay.release`); a frame that must not go on ends the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from pydatacoll.protocols import sockets
from pydatacoll.protocols.iec104 import apci

READ = 16_384
"""Octets taken at a time: a station that sends at full rate lets others have their turn."""
_LIBRARY, _OWNER = "library", "owner"


class Owner(Protocol):
    """Who wants to know."""

    def started(self) -> None:
        """STARTDT is confirmed."""

    def received(self, octets: int, asdus: list[bytes]) -> None:
        """What came in one piece, and its ASDUs."""

    def sending(self, asdu: bytes, position: int) -> bool:
        """The library sends an ASDU. False: it has to wait, and what follows it.

        :param position: octets sent before and with it.
        """

    def acknowledged(self, number: int) -> None:
        """The station has acknowledged so many more I frames."""

    def frame(self, frame: bytes, *, sent: bool) -> None:
        """Any frame."""

    def over(self, reason: str, counter: str = "") -> None:
        """The way is over; may be called again."""


class _End(asyncio.BufferedProtocol):
    """One of the two connections.

    :param made: whether it may be used.
    :param taken: called with octets.
    """

    def __init__(
        self,
        made: Callable[[_End], bool],
        taken: Callable[[bytes], None],
        lost: Callable[[Exception | None], None],
        full: Callable[[bool], None],
    ) -> None:
        self._made, self._taken, self._lost, self._full = made, taken, lost, full
        self._buffer = memoryview(bytearray(READ))
        self._used = False
        self.transport: asyncio.Transport | None = None
        self.socket: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.socket = transport.get_extra_info("socket")
        self._used = self._made(self)
        if not self._used:
            self.transport.abort()
        elif self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._used:
            self._taken(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool:
        return False  # closes

    def connection_lost(self, exc: Exception | None) -> None:
        if self._used:
            self._used = False
            self._lost(exc)

    def pause_writing(self) -> None:
        self._full(True)

    def resume_writing(self) -> None:
        self._full(False)


class Relay:
    """The way between one station and one connection of the library.

    :ivar frames: whether :meth:`Owner.frame` is called.
    """

    def __init__(self, owner: Owner, *, frames: bool) -> None:
        self.frames = frames
        self._owner = owner
        self._station: _End | None = None
        self._library: _End | None = None
        self._server: asyncio.Server | None = None
        self._pauses: set[str] = set()
        self._over = False
        self._started = False
        self._from_station = b""
        self._from_library = b""
        self._held: deque[bytes] = deque()
        self._expected = 0
        self._acknowledged = 0
        self._outstanding = 0
        self._sent = 0
        self.peer = ""

    async def connect(self, address: str, port: int) -> None:
        """Connect to the station.

        :raises OSError: when that fails.
        """
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: _End(self._station_made, self._take_from_station, self._station_lost, _unused), address, port
        )

    async def listen(self) -> int:
        """Wait for the library; returns the port to which it has to connect."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _End(self._library_made, self._take_from_library, self._library_lost, self._library_full),
            "127.0.0.1",
            0,
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def pause(self, *, on: bool, why: str = _OWNER) -> None:
        """Read nothing from the station, or go on."""
        before = bool(self._pauses)
        (self._pauses.add if on else self._pauses.discard)(why)
        transport = None if self._station is None else self._station.transport
        if transport is None or transport.is_closing() or before == bool(self._pauses):
            return
        if self._pauses:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def arrived(self, position: int) -> bool:
        """Whether the station's end has confirmed so many octets, as far as the system can tell."""
        end = self._station
        if end is None or end.transport is None or end.socket is None:
            return False
        return self._sent - sockets.unconfirmed(end.transport, end.socket) >= position

    def release(self) -> None:
        """Ask again about what was held."""
        frames, self._held = self._held, deque()
        for frame in frames:
            self._pass_on(frame)

    def close(self) -> None:
        """End the connection to the station; what has not arrived there is taken back. May be called twice."""
        if self._over:
            return
        self._over = True
        if self._station is not None and self._station.transport is not None:
            sock = self._station.socket
            with contextlib.suppress(OSError):  # the station was faster
                if sock is not None and not sockets.unconfirmed(self._station.transport, sock):
                    sockets.orderly(sock)
            self._station.transport.abort()

    async def close_library(self) -> None:
        """The library has been stopped: end the connection to it, and take no other."""
        if self._library is not None and self._library.transport is not None:
            self._library.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    # From the station

    def _station_made(self, end: _End) -> bool:
        self._station = end
        if end.socket is not None:
            sockets.forgetful(end.socket)
            host, port = end.socket.getpeername()[:2]
            self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return not self._over

    def _take_from_station(self, data: bytes) -> None:
        if self._library is not None and self._library.transport is not None:
            self._library.transport.write(data)
        octets = len(data)
        data = self._from_station + data
        position, end = 0, len(data)
        asdus: list[bytes] = []
        unpack, expected = apci.HEADER.unpack_from, self._expected
        reason, counter = "", ""
        while end - position >= apci.HEADER_SIZE:
            start, length, first, second = unpack(data, position)
            if start != apci.START or not apci.CONTROL <= length <= apci.MAX_LENGTH:
                break
            stop = position + 2 + length
            if stop > end:
                break
            if self.frames:
                self._owner.frame(data[position:stop], sent=False)
            if first & 1:
                self._control_frame(first, second)
            elif first >> 1 != expected or not self._started:
                reason = f"N(S) is {first >> 1}, must be {expected}" if self._started else "an I frame too early"
                counter = "link_sequence" if self._started else "link_unexpected"
                break
            else:
                expected = (expected + 1) % apci.MODULUS
                asdus.append(data[position + apci.HEADER_SIZE : stop])
                if second >> 1 != self._acknowledged:
                    self._acknowledge(second >> 1)
            position = stop
        self._expected = expected
        self._from_station = rest = data[position:]
        self._owner.received(octets, asdus)
        if not reason and apci.begins_wrongly(rest):
            reason, counter = f"a frame cannot begin with {rest[: apci.HEADER_SIZE].hex(' ')}", "link_garbage"
        if reason:
            self._owner.over(f"the device breaks the protocol: {reason}", counter)

    def _control_frame(self, first: int, second: int) -> None:
        if first == 1:
            self._acknowledge(second >> 1)
        elif first == apci.STARTDT_CON and not self._started:
            self._started = True
            self._owner.started()

    def _acknowledge(self, number: int) -> None:
        count = (number - self._acknowledged) % apci.MODULUS
        if 0 < count <= self._outstanding:
            self._acknowledged = number
            self._outstanding -= count
            self._owner.acknowledged(count)

    def _station_lost(self, exc: Exception | None) -> None:
        self._owner.over("the device closed the connection" if exc is None else f"the connection was lost: {exc}")

    # From the library

    def _library_made(self, end: _End) -> bool:
        if self._over or self._library is not None or end.socket is None or not _is_ours(end.socket.getpeername()):
            return False
        self._library = end
        return True

    def _take_from_library(self, data: bytes) -> None:
        pieces = list(apci.split(self._from_library + data))
        complete = pieces and len(pieces[-1]) >= apci.HEADER_SIZE and len(pieces[-1]) == pieces[-1][1] + 2
        self._from_library = b"" if complete or not pieces else pieces.pop()
        for frame in pieces:
            self._pass_on(frame)

    def _pass_on(self, frame: bytes) -> None:
        end = self._station
        if end is None or end.transport is None or self._over:
            return
        if self._held:
            self._held.append(frame)
            return
        if not frame[2] & 1:
            if not self._owner.sending(frame[apci.HEADER_SIZE :], self._sent + len(frame)):
                self._held.append(frame)
                return
            self._outstanding += 1
        self._sent += len(frame)
        end.transport.write(frame)
        if self.frames:
            self._owner.frame(frame, sent=True)

    def _library_full(self, full: bool) -> None:
        self.pause(on=full, why=_LIBRARY)

    def _library_lost(self, exc: Exception | None) -> None:
        self._owner.over(
            "lib60870 closed the connection: the device did not answer in time, or broke the protocol"
        )

    @property
    def sent(self) -> int:
        """Octets sent to the station."""
        return self._sent


def _unused(full: bool) -> None:
    """A station that does not read: the window k is soon full, and the library gives it up after t1."""


def _is_ours(address: tuple[str, int]) -> bool:
    """Whether a connection comes from this very process: no other user of the machine may speak to the station."""
    for name in os.listdir("/proc/self/fd"):
        try:
            # making a socket of what is none leaves its copy open
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.fromfd(int(name), socket.AF_INET, socket.SOCK_STREAM) as sock:
                if sock.getsockname() == address:
                    return True
        except OSError:  # closed a moment ago
            continue
    return False
