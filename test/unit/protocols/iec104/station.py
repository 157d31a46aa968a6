"""The other end of a connection, on loopback: octets in, octets out, as the test wants them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Self

from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.opening import open_wire
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import DriverContext
from pydatacoll.testing.fakes import FakeSink
from test.unit.protocols.iec104.link_bench import STARTDT_ACT, STARTDT_CON


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def expect(self, *frames: bytes) -> None:
        """These frames come next."""
        for frame in frames:
            assert (await self.reader.readexactly(len(frame))).hex(" ") == frame.hex(" ")

    def write(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def ended(self) -> bytes:
        """Wait for the end of the connection; what came before it."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b"reset"

    async def start(self) -> None:
        """Be started."""
        await self.expect(STARTDT_ACT)
        self.write(STARTDT_CON)

    def reset(self) -> None:
        self.writer.transport.abort()


class Station:
    """Listens on a port of its own."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._accepted: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def deaf(self) -> None:
        """Refuse new connections."""
        assert self._server is not None
        self._server.close()

    async def __aexit__(self, *_: object) -> None:
        self.deaf()
        for peer in self._peers:
            peer.reset()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        self._accepted.put_nowait(peer)

    async def accepted(self) -> Peer:
        """The next connection."""
        return await self._accepted.get()


class Owner:
    """Of a wire: keeps what it receives."""

    def __init__(self) -> None:
        self.context = DriverContext(FakeSink())
        self.lists: list[list[bytes]] = []
        self.switched = 0
        self._changed = asyncio.Event()

    def receive(self, asdus: Sequence[bytes]) -> None:
        self.lists.append(list(asdus))
        self._changed.set()

    def note_switch(self) -> None:
        self.switched += 1
        self._changed.set()

    @property
    def asdus(self) -> list[bytes]:
        return [asdu for asdus in self.lists for asdu in asdus]

    async def received(self, count: int) -> None:
        while len(self.asdus) < count:
            self._changed.clear()
            await self._changed.wait()

    async def has_switched(self, count: int = 1) -> None:
        while self.switched < count:
            self._changed.clear()
            await self._changed.wait()

    def opening(self, device: Iec104Device) -> asyncio.Task[Wire]:
        return asyncio.create_task(open_wire(device, self.context, self.receive))

    async def opened(self, station: Station, **options: Any) -> tuple[Wire, Peer]:
        """A started wire to a station, and the station's end of it."""
        task = self.opening(device(station.port, **options))
        peer = await station.accepted()
        await peer.start()
        return await task, peer


def device(port: int, **options: Any) -> Iec104Device:
    options = {"id": "rtu", "name": "RTU", "protocol": "iec104", "ip": "127.0.0.1", "port": port, **options}
    return Iec104Device(**options)
