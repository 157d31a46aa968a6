"""A proxy before a server's socket that can lose answers, go silent and break connections."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Proxy:
    """Forwards TCP on a free loopback port to a unix socket.

    ``swallow`` drops everything the server answers; ``cut()`` breaks all connections; ``refuse`` closes new ones.
    """

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallow = False
        self.refuse = False
        self.swallowed = asyncio.Event()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        for writer in self._writers:
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
