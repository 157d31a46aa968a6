"""Breaks connections to a server that does not answer.

When a network is cut, nobody is told: whoever waits for an answer waits for ever. To cancel the wait is not
enough: then the transaction is rolled back, over the same connection, and that is waited for, too. A connection
that is broken gives an error at once, to whoever uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Breaker:
    """For the connections of one engine, which are aiomysql's or asyncpg's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: set[Any] = set()
        pool = engine.sync_engine.pool
        event.listen(pool, "checkin", lambda connection, _: self._idle.add(connection))  # None: broken
        event.listen(pool, "checkout", lambda connection, *_: self._idle.discard(connection))
        event.listen(pool, "close", lambda connection, _: self._idle.discard(connection))
        event.listen(pool, "invalidate", lambda connection, *_: self._idle.discard(connection))

    async def drop_idle(self) -> None:
        """Part with those that nobody uses: each of them would be as silent, and cost a time limit of its own."""
        if self._engine.dialect.driver == "asyncpg":  # it would wait for the server to say goodbye
            for connection in self._idle - {None}:
                _break(connection.driver_connection)
        else:
            await self._engine.dispose()

    @contextmanager
    def after(self, connection: AsyncConnection, seconds: float) -> Iterator[None]:
        """Break a connection that is used for longer."""
        proxied: Any = connection.sync_connection
        driver = proxied.connection.driver_connection
        handle = asyncio.get_running_loop().call_later(seconds, _break, driver)
        try:
            yield
        finally:
            handle.cancel()


def _break(driver: Any) -> None:
    if hasattr(driver, "terminate"):  # asyncpg
        driver.terminate()
    elif not driver.closed:  # aiomysql: its own close waits until all was sent
        driver._writer.transport.abort()  # it has nothing else for that
