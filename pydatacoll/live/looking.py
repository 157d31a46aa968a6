"""One look for all who ask: while one is under way everybody waits for that one, and what it found is given for a
while, as is that it found nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from pydatacoll.errors import StoreUnavailable

T = TypeVar("T")

KEPT: Final = 1.0
"""Seconds for which what was found is given again."""


class Looking(Generic[T]):
    """Shares looks."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._found: T | None = None
        self._until = 0.0
        self._closed = False

    def forget(self) -> None:
        """What was found is not true any more."""
        self._found = None

    async def at(self, work: Callable[[], Awaitable[T]]) -> T:
        """What a look finds, at most :data:`KEPT` seconds old.

        :param work: the look; called when none is under way.
        :raises StoreUnavailable: there are no looks any more; or whatever the look raises, for all who wait.
        """
        if self._closed:
            raise StoreUnavailable("the server is stopping")
        if self._found is not None and asyncio.get_running_loop().time() < self._until:
            return self._found
        if self._task is None:
            self._task = asyncio.create_task(self._look(work), name="overview")
            self._task.add_done_callback(self._looked)
        task = self._task
        try:
            return await asyncio.shield(task)  # who goes away does not end it for the others
        except asyncio.CancelledError:
            if task.cancelled():
                raise StoreUnavailable("the server is stopping") from None
            raise

    async def _look(self, work: Callable[[], Awaitable[T]]) -> T:
        self._found = await work()
        self._until = asyncio.get_running_loop().time() + KEPT
        return self._found

    def _looked(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # seen, even when nobody waits any more

    async def close(self) -> None:
        """No more looks; who waits is told."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
