"""Tasks that must not end: restarted when they fail, the failure logged once with its traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds before a failed service is started again."""

failures: dict[str, int] = {}
"""Service -> how often it failed in this process; shown in ``/metrics``."""


async def supervise(name: str, service: Callable[[], Awaitable[None]]) -> None:
    """Run ``service()`` until cancelled; when it raises or returns, start it again."""
    while True:
        try:
            await service()
            log.error("%s ended; it is started again", name)
        except asyncio.CancelledError:
            raise
        except Exception:
            failures[name] = failures.get(name, 0) + 1
            log.exception("%s failed; it is started again", name)
        await asyncio.sleep(PAUSE)


def start(name: str, service: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """A task that supervises ``service``."""
    return asyncio.get_running_loop().create_task(supervise(name, service), name=name)


class Tasks:
    """Tasks that belong together: the first failure ends all of them.

    A task group does nearly that, but up to Python 3.12 it loses a cancellation that arrives in the moment a
    child fails; a device that goes away while it is being stopped would then run on.

    >>> async with Tasks() as tasks:
    ...     tasks.start(one())
    ...     tasks.start(other())
    ...     await tasks.failure()
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure.done() and not self._failure.cancelled():
            self._failure.exception()  # seen, even when a cancellation came first
        self._failure.cancel()

    def start(self, work: Coroutine[Any, Any, None], name: str | None = None) -> asyncio.Task[None]:
        """Run ``work`` as one of these tasks; it may be cancelled alone."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def failure(self) -> None:
        """Wait for the first failure and raise it."""
        await self._failure
