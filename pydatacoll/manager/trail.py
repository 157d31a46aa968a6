"""What ended by itself, in the audit trail: nobody waits for these entries, and a store that is away does not lose
them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final

from pydatacoll.errors import StoreError
from pydatacoll.store.audit import Audit

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Entries kept while the store is away; of more, the oldest are given up, and that is logged."""
AGAIN: Final = 1.0
"""Seconds until the next attempt."""
LAST_MOMENT: Final = 1.0
"""Seconds for the last entries when the manager stops."""


class Trail:
    """Takes entries at any moment; :meth:`run` writes them, in their order."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._waiting: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()

    def tell(self, entry: dict[str, Any]) -> None:
        """Take an entry."""
        if len(self._waiting) >= MOST_WAITING:
            lost = self._waiting.popleft()
            log.error("not in the audit trail, for the store is away: %s", lost)
        self._waiting.append(entry)
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled; what is left then has a moment."""
        try:
            while True:
                await self._news.wait()
                try:
                    await self._write()
                except StoreError as error:
                    log.debug("entries of the audit trail wait: %s", error)
                    await asyncio.sleep(AGAIN)
        finally:
            try:
                async with asyncio.timeout(LAST_MOMENT):
                    await self._write()
            except (StoreError, TimeoutError) as error:
                for entry in self._waiting:
                    log.error("not in the audit trail, for the store is away (%s): %s", error, entry)  # noqa: TRY400

    async def _write(self) -> None:
        """
        :raises StoreError: those that are not written are kept.
        """
        while self._waiting:
            entry = self._waiting[0]
            await self._audit.write([entry])
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()
        self._news.clear()
