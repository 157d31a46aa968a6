"""Who owns a partition: a lease that must be renewed, and the list of those that are alive.

Managers own partitions to run their devices, runners of a plugin to handle their data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pydatacoll.store import keys
from pydatacoll.store.client import Store


@dataclass(frozen=True, slots=True)
class LeaseNames:
    """Where the leases of one kind of owner are.

    :ivar alive: the list of owners.
    :ivar lease: partition -> its lease.
    :ivar holder: partition -> who had its lease last.
    :ivar what: what an owner is, for the events that it came and went.
    """

    alive: str
    lease: Callable[[int], str]
    holder: Callable[[int], str]
    what: str


MANAGERS = LeaseNames(keys.MANAGERS, keys.lease, keys.holder, "device manager")


def plugin_leases(name: str) -> LeaseNames:
    """Of the runners of one plugin."""
    return LeaseNames(
        keys.plugin_runners(name),
        partial(keys.plugin_lease, name=name),
        partial(keys.plugin_holder, name=name),
        f"runner of plugin {name}",
    )


class Leases:
    """Leases of one owner. All methods raise StoreError when the store is away."""

    def __init__(self, store: Store, owner_id: str, seconds: float, names: LeaseNames = MANAGERS) -> None:
        self._store = store
        self._owner_id = owner_id
        self._milliseconds = int(seconds * 1000)
        self._names = names

    async def heartbeat(self) -> list[str]:
        """Say that this owner is alive; returns all that are, sorted."""
        reply = await self._heartbeat(self._milliseconds)
        return sorted(name.decode() for name in reply)

    async def goodbye(self) -> None:
        """Take this owner off the list, so that others need not wait for its lease to end."""
        await self._heartbeat(0)

    async def _heartbeat(self, milliseconds: int) -> list[bytes]:
        names = [self._names.alive, keys.EVENTS]
        reply: list[bytes] = await self._store.fcall(
            "manager_heartbeat", names, [self._owner_id, milliseconds, self._names.what]
        )
        return reply

    async def bury(self, owner_id: str) -> None:
        """Take an owner that is dead off the list and end its leases, so that nobody waits for them."""
        names = [self._names.alive, keys.EVENTS, *map(self._names.lease, range(self._store.partitions))]
        await self._store.fcall("manager_bury", names, [owner_id, self._names.what])

    async def take(self, partition: int) -> bool:
        """Take a lease; false when somebody else holds it."""
        return bool(await self._call("lease", partition, self._milliseconds))

    async def renew(self, partition: int) -> bool:
        """Renew a lease, also one that ran out; false when somebody else holds it, or has held it since."""
        return bool(await self._call("lease_renew", partition, self._milliseconds))

    async def give_back(self, partition: int) -> None:
        """Give up a lease of ours; somebody else's is left alone."""
        await self._call("lease", partition, 0)

    async def _call(self, function: str, partition: int, milliseconds: int) -> int:
        names = [self._names.lease(partition), self._names.holder(partition)]
        reply: int = await self._store.fcall(function, names, [self._owner_id, milliseconds])
        return reply
