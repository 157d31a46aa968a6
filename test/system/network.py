"""A network between a manager and everything else that can be made to drop all packets, without a word to anyone.

With the rights for it (root, CAP_NET_ADMIN) the manager runs in a network namespace of its own, behind a router in
another one that has blackholes for what passes: connections are truly half-open, as after a pulled cable.
Where the kernel or the container forbids that, a proxy that swallows everything stands in, and says so.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from contextlib import ExitStack, suppress
from typing import Self

FIRST, ROUTER, BEHIND, MANAGER, SECOND = 1, 2, 5, 6, 9
"""Last parts of the addresses."""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20)


class Network:
    """``hosts`` are two addresses where servers listen; each can be cut off. ``prefix`` runs the manager."""

    hosts: tuple[str, str]
    prefix: list[str]

    async def port_of(self, host: str, port: int) -> int:
        """The port that a manager has to connect to, for a server that listens on ``host`` and ``port``."""
        raise NotImplementedError

    def cut(self, host: str) -> None:
        """From now on every packet from and to an address is dropped."""
        raise NotImplementedError

    def mend(self, host: str) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Namespaces(Network):
    """198.18.x.1 (here) - 198.18.x.2 router 198.18.x.5 - 198.18.x.6 (the manager); the range is for tests."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        name = f"pdc{secrets.token_hex(3)}"
        network = f"198.18.{secrets.randbelow(256)}"
        self.hosts = (f"{network}.{FIRST}", f"{network}.{SECOND}")
        self._router, self._manager = f"{name}r", f"{name}m"
        self.prefix = ["ip", "netns", "exec", self._manager]
        try:
            self._make(name, network)
        except BaseException:
            self._undo.close()
            raise

    def _make(self, name: str, network: str) -> None:
        for namespace in (self._router, self._manager):
            _ip("netns", "add", namespace)
            self._undo.callback(_ip, "netns", "del", namespace)
        # deleting a namespace deletes the ends in it, and with them the other ends
        _ip("link", "add", f"{name}0", "type", "veth", "peer", "name", "r0", "netns", self._router)
        _ip("-n", self._router, "link", "add", "r1", "type", "veth", "peer", "name", "m0", "netns", self._manager)
        _ip("addr", "add", f"{network}.{FIRST}/30", "dev", f"{name}0")
        _ip("addr", "add", f"{network}.{SECOND}/32", "dev", f"{name}0")
        _ip("-n", self._router, "addr", "add", f"{network}.{ROUTER}/30", "dev", "r0")
        _ip("-n", self._router, "addr", "add", f"{network}.{BEHIND}/30", "dev", "r1")
        _ip("-n", self._manager, "addr", "add", f"{network}.{MANAGER}/30", "dev", "m0")
        _ip("link", "set", f"{name}0", "up")
        for namespace, device in ((self._router, "r0"), (self._router, "r1"), (self._manager, "m0")):
            _ip("-n", namespace, "link", "set", device, "up")
        _ip("-n", self._router, "route", "add", f"{network}.{SECOND}/32", "via", f"{network}.{FIRST}")
        _ip("netns", "exec", self._router, "sysctl", "-q", "net.ipv4.ip_forward=1")
        _ip("route", "add", f"{network}.4/30", "via", f"{network}.{ROUTER}")
        _ip("-n", self._manager, "route", "add", "default", "via", f"{network}.{BEHIND}")

    async def port_of(self, host: str, port: int) -> int:
        return port

    def cut(self, host: str) -> None:
        for end in ("from", "to"):
            _ip("-n", self._router, "rule", "add", end, host, "blackhole")

    def mend(self, host: str) -> None:
        for end in ("from", "to"):
            _ip("-n", self._router, "rule", "del", end, host, "blackhole")

    async def __aexit__(self, *_: object) -> None:
        self._undo.close()


class Swallowing(Network):
    """Proxies on loopback that swallow everything while cut; connections and closings are held back, too."""

    def __init__(self) -> None:
        self.hosts = ("127.0.0.1", "127.0.0.2")
        self.prefix = []
        self._through = {host: asyncio.Event() for host in self.hosts}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self, host: str) -> None:
        self._through[host].clear()

    def mend(self, host: str) -> None:
        self._through[host].set()

    async def port_of(self, host: str, port: int) -> int:
        through = self._through[host]
        through.set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await through.wait()
                back_reader, back_writer = await asyncio.open_connection(host, port)
                try:
                    await asyncio.gather(
                        self._pump(reader, back_writer, through), self._pump(back_reader, writer, through)
                    )
                finally:
                    back_writer.transport.abort()
            finally:
                writer.transport.abort()
                self._tasks.discard(task)

        server = await asyncio.start_server(serve, host, 0)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await through.wait()  # as TCP does it, which repeats what was dropped
                writer.write(data)
        await through.wait()
        writer.transport.abort()

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def network() -> Network:
    """Namespaces where they are possible."""
    try:
        return Namespaces()
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", "") or error
        print(f"no network namespaces here ({str(reason).strip()}): a swallowing proxy stands in")
        return Swallowing()
