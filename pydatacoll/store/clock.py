"""The store's clock: what expires there is given as a moment, not as a span that begins on arrival."""

from __future__ import annotations

import asyncio

from pydatacoll.store.client import Store, store_errors

VALID = 60.0
"""Seconds for which a measurement is taken as right."""


class StoreClock:
    """Estimates the time of day at the store, to half a round trip."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._offset = 0.0
        self._measured: float | None = None

    async def now(self) -> float:
        """Epoch seconds by the store's clock.

        :raises StoreError: when it must be asked, and the store is away.
        """
        loop = asyncio.get_running_loop()
        if self._measured is None or loop.time() - self._measured > VALID:
            sent = loop.time()
            with store_errors():
                seconds, micros = await self._store.redis.time()
            self._measured = loop.time()
            self._offset = seconds + micros / 1e6 - (sent + self._measured) / 2
        return loop.time() + self._offset

    def forget(self) -> None:
        """Ask again next time."""
        self._measured = None
