"""Connections to Redis, and the translation of its failures.

redis-py's defaults are wrong for us (see ``docs/decisions``): ten retries duplicate writes, a socket time-out
breaks blocking reads, the pool raises when it is empty. All settings of connections stand in this file.
"""

from __future__ import annotations

import asyncio
import math
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    Redis,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pydatacoll.errors import StoreError, StoreRefused, StoreUnavailable
from pydatacoll.settings import AuditSettings
from pydatacoll.store import keys
from pydatacoll.store.migrations import check_layout, migrate

Arg = str | bytes | int | float

TIMEOUT = 5.0
"""Seconds without an answer after which the store counts as away."""
KEEPALIVE: dict[str, int] = {
    "TCP_KEEPIDLE": 5,  # seconds of silence before the first probe
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 10_000,  # milliseconds that something sent may stay unconfirmed
}
"""A connection that only waits, for messages or for the stream, has no time-out of its own: without probes it
would never notice that a cable was pulled or that a firewall has forgotten it."""

_REFUSALS = (
    redis_errors.OutOfMemoryError,
    redis_errors.ReadOnlyError,
    redis_errors.NoPermissionError,
    redis_errors.AuthenticationError,
)

_OF_PIPELINE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: \(?['\"]?", re.DOTALL)
"""What redis-py puts before the answer to a command of a pipeline."""

_REFUSAL_CODES = ("MISCONF", "OOM", "READONLY", "NOPERM", "NOAUTH", "NOREPLICAS", "WRONGTYPE")
"""First words of answers that refuse; the last one: another program has put something else under our name."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what redis-py raises into :class:`StoreUnavailable` or :class:`StoreRefused`.

    :raises StoreUnavailable: no connection, no answer in time, or the server is still loading its data.
    :raises StoreRefused: the server answers but will not: out of memory, disk full, read only, no permission.
    """
    try:
        yield
    except _REFUSALS as error:
        raise StoreRefused(f"the store refuses: {error}") from error
    except (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError, TimeoutError) as error:
        # also BusyLoadingError, a subclass of ConnectionError
        raise StoreUnavailable(f"the store cannot be reached: {error}") from error
    except redis_errors.ResponseError as error:
        text = _OF_PIPELINE.sub("", str(error))
        if text.startswith(_REFUSAL_CODES) or "OOM" in text:
            raise StoreRefused(f"the store refuses: {text}") from error
        if text.startswith(("LOADING", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")):
            raise StoreUnavailable(f"the store is not ready: {text}") from error
        raise


class _Cancellable(AbstractConnection):
    """Sends without ``asyncio.wait_for``, which up to Python 3.11 swallows a cancellation now and then.

    It also costs a task per command.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        limit, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                await super().send_packed_command(command, check_health)
        except RuntimeError as error:  # how uvloop's transport says that it was closed meanwhile
            raise redis_errors.ConnectionError(f"the connection was lost: {error}") from error
        finally:
            self.socket_timeout = limit

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own
        *,
        disconnect_on_error: bool = True,
        push_request: bool | None = False,
    ) -> Any:
        """Tells a lost connection from a time-out.

        The library takes the kernel's ETIMEDOUT for a time-out that its caller asked for, answers ``None``, and at
        once again at every further call: a loop over messages would hold the whole process up.
        """
        response = await super().read_response(
            disable_decoding, timeout, disconnect_on_error=disconnect_on_error, push_request=push_request
        )
        if response is None and timeout is not None:
            lost = self._reader is None or self._reader.exception() is not None
            if lost or timeout == math.inf:
                raise redis_errors.ConnectionError("the connection was lost")
        return response


class _TcpConnection(_Cancellable, Connection):
    pass


class _TlsConnection(_Cancellable, SSLConnection):
    pass


class _UnixConnection(_Cancellable, UnixDomainSocketConnection):
    pass


_CLASSES: dict[type[AbstractConnection], type[AbstractConnection]] = {
    Connection: _TcpConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _UnixConnection,
}


class Store:
    """One Redis: clients, number of partitions, function libraries.

    :ivar redis: text client for short commands; waits for a free connection, never retries.
    :ivar binary: the same for binary replies.
    :ivar partitions: number of partitions in force.
    :ivar audit: how much of the audit trail is kept.
    """

    def __init__(self, url: str, partitions: int = keys.PARTITIONS, audit: AuditSettings | None = None) -> None:
        self.url = url
        self.partitions = partitions
        self.audit = audit or AuditSettings()
        self.redis: Redis = Redis(connection_pool=self._pool(BlockingConnectionPool, decode_responses=True))
        self.binary: Redis = Redis(connection_pool=self._pool(BlockingConnectionPool))
        self._dedicated: list[Redis] = []
        self._settling = asyncio.Lock()

    def _pool(self, pool_class: type[ConnectionPool], **options: Any) -> ConnectionPool:
        defaults: dict[str, Any] = {
            "protocol": 3,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "max_connections": 32,
        }
        if pool_class is BlockingConnectionPool:
            defaults["timeout"] = TIMEOUT
        place: dict[str, Any] = dict(parse_url(self.url))
        plain = place.pop("connection_class", Connection)
        if plain is not UnixDomainSocketConnection:
            defaults["socket_keepalive"] = True
            defaults["socket_keepalive_options"] = {
                getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)
            }
        return pool_class(connection_class=_CLASSES[plain], **(defaults | options | place))

    @classmethod
    async def open(cls, url: str, partitions: int = keys.PARTITIONS) -> Store:
        """Connect and settle the number of partitions.

        :raises StoreUnavailable: when the server cannot be reached now; see :meth:`settle` to do it later.
        """
        store = cls(url, partitions)
        try:
            await store.settle()
        except BaseException:
            await store.close()
            raise
        return store

    async def settle(self) -> None:
        """Load the function libraries, bring older data up to the layout of this release, and agree on the number
        of partitions: the first one to come sets it. It may be called again, as after a flush.

        :raises StoreTooNew: when a newer release wrote the data; nothing was touched.
        :raises StoreError: when the store is away or refuses.
        """
        async with self._settling:
            with store_errors():
                await check_layout(self)
                await self.load_functions()
                await migrate(self)
                await self.redis.set(keys.PARTITION_COUNT, self.partitions, nx=True)
                self.partitions = int(await self.redis.get(keys.PARTITION_COUNT) or self.partitions)

    async def load_functions(self) -> None:
        """Load every ``*.lua`` of this package, replacing older versions. Files with the same first line are parts
        of one library, in the order of their names, because libraries cannot call each other."""
        libraries: dict[str, list[str]] = {}
        for source in sorted(files("pydatacoll.store").iterdir(), key=lambda file: file.name):
            if source.name.endswith(".lua"):
                head, _, body = source.read_text().partition("\n")
                libraries.setdefault(head, [head]).append(body)
        for parts in libraries.values():
            await self.redis.function_load("\n".join(parts), replace=True)

    def dedicated(self, *, binary: bool = False) -> Redis:
        """A client with one connection of its own, without time-out: for blocking reads and for writers."""
        pool = self._pool(ConnectionPool, max_connections=1, socket_timeout=None, decode_responses=not binary)
        client = Redis(connection_pool=pool)
        self._dedicated.append(client)
        return client

    def connection(self) -> Connection:
        """A bare binary connection for the write path, not yet connected; the caller closes it."""
        pool = self._pool(ConnectionPool, socket_timeout=None)
        connection: Connection = pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def release(self, client: Redis) -> None:
        """Close a client made by :meth:`dedicated`."""
        if client in self._dedicated:
            self._dedicated.remove(client)
        await client.aclose()
        await client.connection_pool.disconnect()

    async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
        """Call a function of our libraries; binary replies. A missing library (new server, FLUSH) is loaded.

        :raises StoreError: when the store is away or refuses.
        """
        with store_errors():
            try:
                return await self.binary.fcall(name, len(names), *names, *args)
            except redis_errors.ResponseError as error:
                if "Function not found" not in str(error):
                    raise
            await self.load_functions()
            return await self.binary.fcall(name, len(names), *names, *args)

    async def problems(self) -> list[str]:
        """What is unsafe about the server's configuration, with the remedy; empty when it is fit.

        :raises StoreError: when it cannot be asked, or is older than 7.0.
        """
        with store_errors():
            info = await self.redis.info()
            version = str(info.get("valkey_version") or info.get("redis_version") or "0")
            if int(version.partition(".")[0]) < 7:
                raise StoreError(f"the store is version {version}; 7.0 or later is needed (functions)")
            found = []
            policy = str(info.get("maxmemory_policy", "noeviction"))
            if policy != "noeviction":
                found.append(
                    f"maxmemory-policy is {policy}: the server may silently evict the model; set it to noeviction"
                )
            if not int(info.get("aof_enabled", 0)):
                found.append("appendonly is off: a crash of the server loses data; set appendonly yes")
            return found

    async def ping(self) -> None:
        """:raises StoreError: when the store is not usable now."""
        with store_errors():
            await self.redis.ping()

    async def close(self) -> None:
        for client in [*self._dedicated, self.redis, self.binary]:
            await client.aclose()
            await client.connection_pool.disconnect()
        self._dedicated.clear()
