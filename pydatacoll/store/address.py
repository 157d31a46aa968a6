"""Where the embedded server listens."""

from __future__ import annotations

import asyncio
import os
import socket as sockets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SOCKET_PATH_LIMIT = 100
"""Longest path of a unix socket, bytes; the kernels allow 103 (macOS) and 107 (Linux)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a socket, or a port of the loopback address with a password."""

    socket: Path | None
    port: int = 0
    password: str = ""

    @property
    def url(self) -> str:
        if self.socket is not None:
            return f"unix://{quote(str(self.socket))}"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    async def probe(self) -> str:
        """``up``, ``loading``, or ``down`` when nothing answers."""
        writer = None
        try:
            async with asyncio.timeout(2):
                if self.socket is not None:
                    reader, writer = await asyncio.open_unix_connection(str(self.socket))
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.write(f"AUTH {self.password}\r\n".encode())
                    await reader.readline()
                writer.write(b"PING\r\n")
                answer = await reader.readline()
        except (OSError, TimeoutError):
            return "down"
        finally:
            if writer is not None:
                writer.close()
        return "up" if answer.startswith(b"+PONG") else "loading" if answer.startswith(b"-LOADING") else "down"


def can_bind(path: Path) -> bool:
    """Whether a unix socket can stand at ``path``: not on every file system, not with every length."""
    if not hasattr(sockets, "AF_UNIX") or len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        return False
    with sockets.socket(sockets.AF_UNIX) as trial:
        try:
            path.unlink(missing_ok=True)
            trial.bind(str(path))
            path.unlink()
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with sockets.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port
