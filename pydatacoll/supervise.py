"""Tasks that must not end: restarted when they fail, the failure logged once with its traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

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
