"""A network cable before a server that can be pulled: what is on its way is gone, and nobody is told.

While it is cut, all bytes are dropped and connections stay open, as nobody says that they are not; after a moment
new ones are refused, too. Connections that were cut are dead for ever, also when the cable is back, as behind a
router that has forgotten them: whoever holds one has to find out alone.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Self


class Wire:
    """Forwards TCP on a free port of loopback to a server: ``(host, port)``, or the path of a unix socket."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._backs: dict[asyncio.StreamWriter, int] = {}
        self._silent = False
        self._cuts = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """From now on nothing passes. New connections are taken, as by a router that keeps quiet."""
        self._silent = True
        self._cuts += 1

    def refuse(self) -> None:
        """From now on there is nobody who takes new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def mend(self) -> None:
        """New connections get through again; those that were cut stay dead."""
        self._silent = False
        self._cuts += 1
        if self._server is None:
            await self._listen()

    def bury(self) -> None:
        """End the server's ends of all connections that were cut."""
        for end, since in self._backs.items():
            if since != self._cuts:
                end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        since, back = self._cuts, None
        try:
            if self._silent:
                await self._swallow(reader)
                return
            if isinstance(self._target, str):
                back_reader, back = await asyncio.open_unix_connection(self._target)
            else:
                back_reader, back = await asyncio.open_connection(*self._target)
                back.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._backs[back] = since
            await asyncio.gather(
                self._pump(reader, back, writer, since), self._pump(back_reader, writer, back, since)
            )
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test is over: the connection ends
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            if back is not None:
                back.transport.abort()
                self._backs.pop(back, None)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter, since: int
    ) -> None:
        """Pass on what comes, until the end of one side, of which the other is told; unless the cable was cut."""
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._cuts != since:
                    await self._swallow(reader)
                    return
                writer.write(data)
                await writer.drain()
        if self._cuts == since:
            writer.transport.abort()
            other.transport.abort()

    @staticmethod
    async def _swallow(reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(65536):
                pass
