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

    async def take(self, partition: int) -> bool:
        """Take or renew a lease; false when another manager holds it."""
        return bool(
            await self._store.fcall("lease", [keys.lease(partition)], [self._manager_id, self._milliseconds])
        )

    async def give_back(self, partition: int) -> None:
        """Give up a lease of ours; another manager's is left alone."""
        await self._store.fcall("lease", [keys.lease(partition)], [self._manager_id, 0])
