"""New entries of several streams, over one connection of its own: reading waits, and would keep others from it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Connection
from redis.exceptions import RedisError

from pydatacoll.store.client import TIMEOUT, Store, store_errors

Fields = Sequence[bytes]
"""Names and values in turn."""


class StreamsReader:
    """Connects when it reads first, and again after a failure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Connection | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect()

    async def read(
        self, after: Mapping[str, str], *, count: int, block: float
    ) -> Mapping[bytes, Sequence[tuple[bytes, Fields]]]:
        """Stream -> its entries after the id given, oldest first; at most ``count`` of each. Without those that
        have none.

        :param block: seconds to wait for the first one; 0 does not wait.
        :raises StoreError: when the store is away.
        """
        try:
            with store_errors():
                async with asyncio.timeout(block + TIMEOUT):
                    return await self._ask(after, count, int(block * 1000)) or {}
        except BaseException:
            await self.close()  # its answer may be on its way
            raise

    async def _ask(self, after: Mapping[str, str], count: int, milliseconds: int) -> Any:
        if self._connection is None:
            self._connection = self._store.connection()
            await self._connection.connect()  # type: ignore[no-untyped-call]
        block = ["BLOCK", milliseconds] if milliseconds else []
        await self._connection.send_command("XREAD", "COUNT", count, *block, "STREAMS", *after, *after.values())
        return await self._connection.read_response()


def pairs(fields: Fields) -> dict[bytes, bytes]:
    """The fields of an entry by name."""
    return dict(zip(fields[::2], fields[1::2], strict=True))
