"""New entries of several streams, over one connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from redis.asyncio import Redis

from pydatacoll.store.client import TIMEOUT, Store, store_errors
from pydatacoll.store.latest import last_ids, stream_id


class NewEntry(NamedTuple):
    """One entry of one of the streams."""

    name: str
    id: str
    fields: dict[bytes, bytes]


class Tail:
    """Reads what comes after :meth:`begin`."""

    def __init__(self, store: Store, names: Iterable[str]) -> None:
        self._store = store
        self._places = dict.fromkeys(names, "0-0")
        self._begun = False
        self._client: Redis | None = None

    async def begin(self) -> None:
        """From now on; or, after an interruption, from where it was, unless the store has lost its data.

        :raises StoreError: when the store is away.
        """
        names = list(self._places)
        for name, last in zip(names, await last_ids(self._store, names), strict=True):
            if not self._begun or stream_id(last) < stream_id(self._places[name]):
                self._places[name] = last
        self._begun = True

    async def read(self, *, count: int, block: float) -> list[NewEntry]:
        """Entries, oldest first of each stream, at most ``count`` of each.

        :param block: seconds to wait for the first one.
        :raises StoreError: when the store is away.
        """
        if self._client is None:
            self._client = self._store.dedicated(binary=True)
        try:
            with store_errors():
                async with asyncio.timeout(block + TIMEOUT):
                    reply: Any = await self._client.xread(self._places, count, int(block * 1000))  # type: ignore[arg-type]
        except BaseException:
            await self.close()  # its answer may be on its way
            raise
        found = []
        for name, parts in (reply or {}).items():
            for part in parts:
                for entry_id, fields in part:
                    one = NewEntry(name.decode(), entry_id.decode(), fields)
                    self._places[one.name] = one.id
                    found.append(one)
        return found

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            await self._store.release(client)
