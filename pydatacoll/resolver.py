"""The way from a device's address or name to a connection, with every address checked before it is used.

A name is looked up once and the connection goes to the address that was checked, not to the name again: what the
name means could change in between.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydatacoll.errors import DeviceOffline
from pydatacoll.model.network import Networks, literal

T = TypeVar("T")

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
    errno.EHOSTDOWN: "the host does not answer",
    errno.ETIMEDOUT: "no answer",
    errno.ECONNRESET: "the device closed the connection",
    errno.EPIPE: "the device closed the connection",
    errno.EADDRNOTAVAIL: "no way to this address from here",
    errno.EACCES: "this machine does not allow it",
    errno.EPERM: "this machine does not allow it",
    errno.EMFILE: "too many open files on this machine",
    errno.ENFILE: "too many open files on this machine",
}


def in_words(error: BaseException) -> str:
    """Why a connection failed, in plain words."""
    if isinstance(error, socket.gaierror):
        return "the name is unknown" if error.errno != socket.EAI_AGAIN else "the name cannot be looked up now"
    if isinstance(error, UnicodeError):
        return "the name is unknown"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer"
    if isinstance(error, OSError) and error.errno is not None:
        return _WORDS.get(error.errno) or error.strerror or str(error)
    return str(error) or type(error).__name__


async def resolve(host: str, networks: Networks) -> list[str]:
    """The addresses of a device, checked, in the order in which to try them; never empty.

    :raises DeviceOffline: when the name is unknown, or none of its addresses is within the networks.
    """
    problem = networks.problem(host)
    if problem is not None:
        raise DeviceOffline(f"{host} {problem}")
    if literal(host) is not None:
        return [host]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeviceOffline(f"{host}: {in_words(error)}") from error
    addresses = list(dict.fromkeys(_text(place) for _, _, _, _, place in found))
    allowed = [text for text in addresses if networks.allows(ipaddress.ip_address(text))]
    if not allowed:
        meaning = f"{host} ({', '.join(addresses)})" if addresses else host
        raise DeviceOffline(f"{meaning} {networks.outside}")
    return allowed


def _text(place: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    """A socket address -> its IP address as text, with the scope of a link-local one."""
    address = str(place[0])
    scope = place[3] if len(place) == 4 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


async def connect(
    host: str,
    port: int,
    connector: Callable[[str], Awaitable[T]],
    *,
    timeout: float,  # noqa: ASYNC109 - divided among the addresses
    networks: Networks,
) -> T:
    """Resolve ``host``, then await ``connector(address)`` for each of its addresses until one works.

    :param timeout: seconds for all of it.
    :raises DeviceOffline: when none did; says in plain words why.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    try:
        async with asyncio.timeout(timeout):
            addresses = await resolve(host, networks)
    except TimeoutError:
        raise DeviceOffline(f"no connection to {where}: the name was not found within {timeout:g} s") from None
    failure: BaseException = TimeoutError()
    for number, address in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - number)
        try:
            async with asyncio.timeout(share):
                return await connector(address)
        except (OSError, UnicodeError) as error:
            failure = error
    reason = in_words(failure)
    if reason == "no answer":
        reason += f" within {timeout:g} s"
    raise DeviceOffline(f"no connection to {where}: {reason}") from failure
