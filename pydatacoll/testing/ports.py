"""A port for a server that is stopped and started again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_port"]


@contextmanager
def kept_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A free TCP port that nobody else is given meanwhile, neither a server nor, by chance, a client.

    It is bound here and not listened on: connections are refused while the server is away, and the kernel chooses
    it for nobody. The server it is for names it; it may bind it, too, as servers set SO_REUSEADDR.

    :param host: an address, or a name that has one.
    :raises OSError: when it is no address of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(address)
        yield keeper.getsockname()[1]
