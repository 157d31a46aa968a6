"""The version of our layout of the store, ``META:LAYOUT``, and what brings older data up to it.

A release that changes the meaning of a key gets a new version and a migration here. A migration

* is given the store with its data in the layout before it; the model is not loaded yet;
* may be killed at any moment and is then run again from its start, so it skips what it has done;
* holds up nobody: it works in portions of a few milliseconds of the server's time;
* is run by one process at a time; the others wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydatacoll.errors import StoreError, StoreTooNew
from pydatacoll.store import keys

if TYPE_CHECKING:
    from pydatacoll.store.client import Store

log = logging.getLogger(__name__)

FIRST = 1
"""The layout before the key existed."""

LOCK_LIFE = 15_000
"""Milliseconds after which the lock of a process that died passes to another one."""
RENEWAL = 3.0
"""Seconds between two renewals of the lock."""
WAIT = 0.1
"""Seconds between two looks at whether another process is done."""


@dataclass(frozen=True, slots=True)
class Migration:
    """From one layout to the next.

    :ivar text: what it does, for the log: ``rename ...``.
    """

    text: str
    run: Callable[[Store], Awaitable[None]]


async def _nothing(_: Store) -> None:
    """All keys stay as they are."""


MIGRATIONS: tuple[Migration, ...] = (
    # A change in META:PENDING must be finished before the model is read, which releases of layout 1 do not know;
    # kept answers of controls have other names, and the old ones expire.
    Migration("mark the data as that of a release that makes large changes in parts", _nothing),
)
"""The first one leads from layout 1 to 2, and so on."""


_ALWAYS_THERE = (
    keys.PARTITION_COUNT,
    keys.VERSION,
    keys.SET_DEVICE,
    keys.SET_TERM,
    keys.SET_ITEM,
    keys.SET_FORMULA,
)
"""Without any of them there is no data, and whatever is written will be in the newest layout."""


def newest(chain: Sequence[Migration]) -> int:
    """The layout that a chain of migrations leads to."""
    return FIRST + len(chain)


async def check_layout(store: Store, chain: Sequence[Migration] = MIGRATIONS) -> int | None:
    """The layout of the stored data; ``None`` when there is no data.

    :raises StoreTooNew: when this release does not know it.
    :raises StoreError: when it is no number.
    """
    text = cast("str | None", await store.redis.get(keys.LAYOUT))
    if text is None:
        return FIRST if await store.redis.exists(*_ALWAYS_THERE) else None
    if not text.isdecimal() or int(text) < FIRST:
        raise StoreError(f"{keys.LAYOUT} in the store is {text!r}, which is no layout: restore a backup")
    if int(text) > newest(chain):
        raise StoreTooNew(
            f"the data in the store has layout {text}, this release knows layouts up to {newest(chain)}: "
            "start the release that wrote it, or a newer one, or restore the backup made before the upgrade"
        )
    return int(text)


async def migrate(store: Store, chain: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the data up to the layout of this release; nothing to do when it is.

    The function libraries must be loaded.

    :raises StoreTooNew: when this release does not know the layout of the data.
    """
    waited = False
    while await store.redis.get(keys.LAYOUT) != str(newest(chain)):
        async with _lock(store) as owner:
            if owner is not None:
                await _climb(store, chain, owner)
                continue
        if not waited:
            log.warning("waiting for another process, which migrates the data in the store")
            waited = True
        await asyncio.sleep(WAIT)


async def _climb(store: Store, chain: Sequence[Migration], owner: str) -> None:
    """As far as it goes while the lock is ours."""
    layout = await check_layout(store, chain)
    while layout != newest(chain):
        if layout is None:
            reached = newest(chain)
        else:
            while await store.fcall("model_apply", [keys.MODEL_PENDING], []):
                pass  # what is left of a large change is in the old layout, too
            migration = chain[layout - FIRST]
            reached = layout + 1
            log.warning(
                "migrating the data in the store from layout %d to %d: %s", layout, reached, migration.text
            )
            await migration.run(store)
        before = await store.redis.get(keys.LAYOUT) or ""
        if before not in {"", str(layout)}:
            return
        if not await store.fcall("layout_stamp", [keys.LAYOUT, keys.MIGRATING], [owner, before, reached]):
            return
        layout = reached


@contextlib.asynccontextmanager
async def _lock(store: Store) -> AsyncIterator[str | None]:
    """The lock, kept alive; ``None`` when another process has it."""
    owner = secrets.token_hex(8)
    if not await store.fcall("lease", [keys.MIGRATING], [owner, LOCK_LIFE]):
        yield None
        return

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEWAL)
            with contextlib.suppress(StoreError):  # the migration itself meets it, too
                await store.fcall("lease", [keys.MIGRATING], [owner, LOCK_LIFE])

    renewing = asyncio.create_task(renew(), name="migration lock")
    try:
        yield owner
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        with contextlib.suppress(StoreError):  # then it expires
            await store.fcall("lease", [keys.MIGRATING], [owner, 0])
