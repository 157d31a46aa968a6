"""A simulated device for line_driver.py; ``python line_device.py [PORT]`` runs one, on port 7700."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import cast


class LineServer:
    """Values by name; ``accepted`` counts connections, ``muted`` makes the device fall silent."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values
        self.port = 0
        self.accepted = 0
        self.muted = False
        self.sessions: set[Session] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.drop()
            await server.wait_closed()

    def drop(self) -> None:
        for session in self.sessions:
            session.transport.abort()

    def answer(self, line: str) -> str:
        number, verb, name, *value = line.split()
        if name not in self.values:
            return f"{number} ERR unknown name"
        if verb == "SET":
            self.values[name] = float(value[0])
        return f"{number} OK {self.values[name]:g}"


class Session(asyncio.Protocol):
    """One client."""

    transport: asyncio.Transport

    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.sessions.add(self)
        self._server.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if not self._server.muted:
                self.transport.write(f"{self._server.answer(line.decode())}\n".encode())


async def main() -> None:
    server = LineServer({"power": 12.5, "limit": 40.0})
    await server.start(int(sys.argv[1]) if len(sys.argv) > 1 else 7700)
    print(f"listening on 127.0.0.1:{server.port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
