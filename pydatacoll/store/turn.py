"""Whose turn it is to change the model: the process that lost against others may commit next."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

from pydatacoll.errors import StoreError
from pydatacoll.store import keys
from pydatacoll.store.client import Store

HELD = 3000
"""Milliseconds after which a turn passes, unless it is renewed: its owner may have died."""
RENEWAL = 1.0
"""Seconds between two renewals while a change is computed and staged."""


class Turn:
    """``META:TURN``, as this process sees it.

    :ivar writer: the name of this process there.
    :ivar held: it was given to this process, by a commit that lost.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writer = secrets.token_hex(8)
        self.held = False

    async def give_up(self) -> None:
        """It was won, but then there was nothing to commit.

        :raises StoreError: when the store is away.
        """
        if self.held:
            self.held = False
            await self._store.fcall("model_release", [keys.MODEL_TURN], [self.writer])

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew it, if it is held, while a commit is prepared, however long that takes."""
        if not self.held:
            yield
            return
        renewing = asyncio.create_task(self._renew(), name="model turn")
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self) -> None:
        with contextlib.suppress(StoreError):  # the commit will find that out, too
            while True:
                await self._store.fcall("model_hold", [keys.MODEL_TURN], [self.writer, HELD])
                await asyncio.sleep(RENEWAL)
