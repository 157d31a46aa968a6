"""Who owns a partition: a lease that must be renewed, and the list of managers that are alive."""

from __future__ import annotations

from pydatacoll.store import keys
from pydatacoll.store.client import Store


class Leases:
    """Leases of one manager. All methods raise StoreError when the store is away."""

    def __init__(self, store: Store, manager_id: str, seconds: float) -> None:
        self._store = store
        self._manager_id = manager_id
        self._milliseconds = int(seconds * 1000)

    async def heartbeat(self) -> list[str]:
        """Say that this manager is alive; returns all that are, sorted."""
        reply = await self._store.fcall(
            "manager_heartbeat", [keys.MANAGERS], [self._manager_id, self._milliseconds]
        )
        return sorted(name.decode() for name in reply)

    async def goodbye(self) -> None:
        """Take this manager off the list, so that others need not wait for its lease to end."""
        await self._store.fcall("manager_heartbeat", [keys.MANAGERS], [self._manager_id, 0])

    async def bury(self, manager_id: str) -> None:
        """Take a manager that is dead off the list and end its leases, so that nobody waits for them."""
        names = [keys.MANAGERS, *map(keys.lease, range(self._store.partitions))]
        await self._store.fcall("manager_bury", names, [manager_id])

    async def take(self, partition: int) -> bool:
        """Take a lease; false when another manager holds it."""
        return bool(await self._call("lease", partition, self._milliseconds))

    async def renew(self, partition: int) -> bool:
        """Renew a lease, also one that ran out; false when another manager holds it, or has held it since."""
        return bool(await self._call("lease_renew", partition, self._milliseconds))

    async def give_back(self, partition: int) -> None:
        """Give up a lease of ours; another manager's is left alone."""
        await self._call("lease", partition, 0)

    async def _call(self, function: str, partition: int, milliseconds: int) -> int:
        names = [keys.lease(partition), keys.holder(partition)]
        reply: int = await self._store.fcall(function, names, [self._manager_id, milliseconds])
        return reply
