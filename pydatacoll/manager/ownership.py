"""Which partitions an owner has: an even share among the owners alive, each secured by a lease.

Owners are managers, which run the devices, and the runners of a plugin, which handle the data.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from pydatacoll.errors import StoreError
from pydatacoll.manager.identity import is_dead
from pydatacoll.store.leases import Leases

log = logging.getLogger(__name__)


def share(owners: Sequence[str], owner_id: str, partitions: int) -> set[int]:
    """The partitions that ``owner_id`` should own: every ``n``-th of the sorted list."""
    if owner_id not in owners:
        return set()
    place = sorted(owners).index(owner_id)
    return set(range(place, partitions, len(owners)))


def everything(owners: Sequence[str], owner_id: str, partitions: int) -> set[int]:
    """The same where one owner has all partitions and others stand by."""
    return set(range(partitions)) if owners and owner_id == min(owners) else set()


class Ownership:
    """Keeps leases; tells when a partition is gained or must be given up.

    ``on_gain`` and ``on_loss`` are awaited; a partition is given back only after ``on_loss`` has returned, so
    that two owners never have one. A lease that was lost (the store was away, the process was
    stopped) is taken as lost at once.
    """

    def __init__(
        self,
        leases: Leases,
        owner_id: str,
        *,
        partitions: int,
        seconds: float,
        on_gain: Callable[[set[int]], Awaitable[None]],
        on_loss: Callable[[set[int]], Awaitable[None]],
        kind: str = "manager",
        sharing: Callable[[Sequence[str], str, int], set[int]] = share,
    ) -> None:
        self._leases = leases
        self._id = owner_id
        self._kind = kind
        self._sharing = sharing
        self._partitions = partitions
        self._period = seconds / 3
        self._on_gain = on_gain
        self._on_loss = on_loss
        self._changed = asyncio.Event()
        self.owned: set[int] = set()

    def lost(self, partition: int) -> None:
        """The store said that a lease is no longer ours."""
        if partition in self.owned:
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled. The store being away changes nothing: nobody else can take a lease then."""
        while True:
            try:
                complete = await self.tick()
            except StoreError as error:
                log.debug("leases not renewed: %s", error)
                complete = False
            try:
                async with asyncio.timeout(self._period if complete else min(0.5, self._period)):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def tick(self) -> bool:
        """Renew, give up what others should have, take what is free; true when the share is complete."""
        alive = await self._leases.heartbeat()
        for dead in [one for one in alive if one != self._id and is_dead(one)]:
            log.warning("%s %s was killed: its partitions are taken over", self._kind, dead)
            await self._leases.bury(dead)
            alive.remove(dead)
        wanted = self._sharing(alive, self._id, self._partitions)
        lost = set()
        for partition in self.owned & wanted:
            if not await self._leases.renew(partition):
                lost.add(partition)
        surplus = self.owned - wanted
        if lost or surplus:
            if lost:
                log.warning("partitions %s belong to another %s now", sorted(lost), self._kind)
            self.owned -= lost | surplus
            await self._on_loss(lost | surplus)
            for partition in surplus:
                await self._leases.give_back(partition)
        gained = set()
        for partition in wanted - self.owned:
            if await self._leases.take(partition):
                gained.add(partition)
        if gained:
            self.owned |= gained
            log.info("%s %s owns partitions %s", self._kind, self._id, sorted(self.owned))
            await self._on_gain(gained)
        return self.owned >= wanted

    async def release(self) -> None:
        """Give everything back, after the work on it has stopped."""
        for partition in sorted(self.owned):
            await self._leases.give_back(partition)
        self.owned.clear()
        await self._leases.goodbye()
