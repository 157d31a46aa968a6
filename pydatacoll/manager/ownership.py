"""Which partitions this manager runs: an even share among the managers alive, each secured by a lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from pydatacoll.errors import StoreError
from pydatacoll.manager.identity import is_dead
from pydatacoll.store.leases import Leases

log = logging.getLogger(__name__)


def share(managers: Sequence[str], manager_id: str, partitions: int) -> set[int]:
    """The partitions that ``manager_id`` should own: every ``n``-th of the sorted list."""
    if manager_id not in managers:
        return set()
    place = sorted(managers).index(manager_id)
    return set(range(place, partitions, len(managers)))


class Ownership:
    """Keeps leases; tells when a partition is gained or must be given up.

    ``on_gain`` and ``on_loss`` are awaited; a partition is given back only after ``on_loss`` has returned, so
    that two managers never run one device. A lease that was lost (the store was away, the process was
    stopped) is taken as lost at once.
    """

    def __init__(
        self,
        leases: Leases,
        manager_id: str,
        *,
        partitions: int,
        seconds: float,
        on_gain: Callable[[set[int]], Awaitable[None]],
        on_loss: Callable[[set[int]], Awaitable[None]],
    ) -> None:
        self._leases = leases
        self._id = manager_id
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
        for manager in [one for one in alive if one != self._id and is_dead(one)]:
            log.warning("manager %s was killed: its devices are taken over", manager)
            await self._leases.bury(manager)
            alive.remove(manager)
        wanted = share(alive, self._id, self._partitions)
        lost = set()
        for partition in self.owned & wanted:
            if not await self._leases.renew(partition):
                lost.add(partition)
        surplus = self.owned - wanted
        if lost or surplus:
            if lost:
                log.warning("partitions %s belong to another manager now", sorted(lost))
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
            log.info("manager %s owns partitions %s", self._id, sorted(self.owned))
            await self._on_gain(gained)
        return self.owned >= wanted

    async def release(self) -> None:
        """Give everything back, after the devices have stopped."""
        for partition in sorted(self.owned):
            await self._leases.give_back(partition)
        self.owned.clear()
        await self._leases.goodbye()
