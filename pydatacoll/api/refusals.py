"""Refused requests in the audit trail, so rarely that a flood of them cannot drive out what was done."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from pydatacoll.api.access import Bucket
from pydatacoll.errors import StoreError
from pydatacoll.model.audit import Entry

log = logging.getLogger(__name__)

Write = Callable[[Sequence[Entry]], Awaitable[None]]

RATE: Final = 0.1
"""Entries of one user, or of one address without a user, per second on average; a burst may be ``BURST``."""
BURST: Final = 20
RATE_OF_ALL: Final = 0.5
BURST_OF_ALL: Final = 100
INTERVAL: Final = 10.0
"""Seconds between two attempts to write how many were left out."""
MOST_KNOWN: Final = 1000
"""Users and addresses told apart; further ones are counted together."""
MOST_WAITING: Final = 1000
"""Entries kept while the store is away; further ones are counted."""
LAST_MOMENT: Final = 1.0
"""Seconds for the last entries when the server stops."""
LONGEST: Final = 200
"""Characters of what a refused request brought along."""


def clean(text: str) -> str:
    """What a client sent, fit for the trail: not too long, and valid Unicode."""
    return text[:LONGEST].encode(errors="replace").decode()


class _Source:
    """One user or address: ``left_out`` of its refusals are not written, the last of which is ``last``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.bucket = Bucket(RATE, BURST, clock)
        self.seen = clock()
        self.left_out = 0
        self.last: Entry = {}


class Refusals:
    """Takes notes of refused requests without keeping anybody waiting; :meth:`run` writes them.

    Of one user at most ``BURST`` at once and ``RATE`` a second are written; the rest is counted, and the count is
    an entry of its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = Bucket(RATE_OF_ALL, BURST_OF_ALL, clock)
        self._sources: dict[str, _Source] = {}
        self._entries: list[Entry] = []
        self._news = asyncio.Event()

    def note(self, action: str, name: str, result: str, *, user: str, source: str, **more: Any) -> None:
        """Remember a refusal: ``result`` is the status and the reason, ``name`` what it was about."""
        entry = {"action": action, "user": user, "source": source, "object": clean(name), "result": clean(result)}
        one = self._source(f"user {user}" if user else f"from {source}")
        one.seen = self._clock()
        if one.left_out == 0 and len(self._entries) < MOST_WAITING and self._may_write(one):
            self._entries.append({**entry, **more})
            self._news.set()
            return
        if one.left_out == 0:
            self._news.set()
        one.left_out += 1
        one.last = entry

    def _source(self, name: str) -> _Source:
        if name not in self._sources and len(self._sources) >= MOST_KNOWN:
            name = "others"
        found = self._sources.get(name)
        if found is None:
            found = self._sources[name] = _Source(self._clock)
        return found

    def _may_write(self, one: _Source) -> bool:
        return one.bucket.take(1) == 0 and self._all.take(1) == 0

    async def run(self, write: Write) -> None:
        """Write until cancelled; what is left then has a moment."""
        behind = False
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL if behind else None):
                        await self._news.wait()
                self._news.clear()
                try:
                    behind = await self.flush(write)
                except StoreError as error:
                    behind = True
                    log.warning("refused requests are not in the audit trail yet: %s", error)
        finally:
            try:
                async with asyncio.timeout(LAST_MOMENT):
                    await self.flush(write, everything=True)
            except (StoreError, TimeoutError) as error:
                log.warning("the last refused requests are not in the audit trail: %s", error)

    async def flush(self, write: Write, *, everything: bool = False) -> bool:
        """Write what was noted, and how many were left out of sources that may write again.

        :returns: whether there are others, of which it is not written yet how many were left out.
        :raises StoreError: nothing was written; it is kept for the next time.
        """
        behind = False
        now = self._clock()
        for name, one in list(self._sources.items()):
            if one.left_out and (everything or self._may_write(one)):
                self._entries.append({**one.last, "left_out": one.left_out})
                one.left_out = 0
            behind = behind or one.left_out > 0
            if not one.left_out and now - one.seen > BURST / RATE:  # its bucket is full again
                del self._sources[name]
        entries = self._entries[:]
        if entries:
            await write(entries)
            del self._entries[: len(entries)]
        return behind
