"""A proxy before a server's socket that can lose answers, go silent and break connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress


class Proxy:
    """Forwards TCP on a free port, on loopback unless said otherwise, to a unix socket.

    ``swallow`` drops everything the server answers; ``cut()`` breaks all connections; ``refuse`` closes new ones.
    """

    def __init__(self, socket_path: str, host: str = "127.0.0.1") -> None:
        self._path = socket_path
        self._host = host
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.refuse = False
        self.swallowed = asyncio.Event()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        return self

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"redis://{self._host}:{self.port}"

    def cut(self) -> None:
        """Reset all connections: what is still in the kernel is forgotten, too."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if sock.family != socket.AF_UNIX and sock.fileno() >= 0:  # else it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.refuse:
            writer.transport.abort()
            return
        back_reader, back_writer = await asyncio.open_unix_connection(self._path)
        self._writers |= {writer, back_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back_writer, answers=False))
                group.create_task(self._pump(back_reader, writer, answers=True))
        finally:
            self._writers -= {writer, back_writer}
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if answers and self.swallow:
                    self.swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
