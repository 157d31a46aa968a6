"""What plugins ask of the store: latest values and recent samples of many points at once."""

from __future__ import annotations

from collections.abc import Sequence

from pydatacoll.model import PointId, Sample
from pydatacoll.model.alarm import Transition
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.history import History, in_order

CHUNK = 500
"""Points asked for in one round trip."""


class PluginReads:
    """The :class:`~pydatacoll.sdk.PluginStore` of a running plugin."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._history = History(store)
        self._alarms = Alarms(store)

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        """
        :raises StoreError: when the store is away.
        """
        return await self._history.latest(points)

    async def recent(self, points: Sequence[PointId], count: int) -> list[list[Sample]]:
        """
        :raises StoreError: when the store is away.
        """
        found: list[list[Sample]] = []
        if count < 1:
            return [[] for _ in points]
        for start in range(0, len(points), CHUNK):
            with store_errors():
                pipeline = self._store.redis.pipeline(transaction=False)
                for point in points[start : start + CHUNK]:
                    partition = keys.partition_of(point.device_id, self._store.partitions)
                    field = f"{point.term_id}:{point.item_id}"
                    pipeline.lrange(keys.history(partition, point.device_id, field), -count, -1)
                found += map(in_order, await pipeline.execute())
        return found

    async def transitions(self, partition: int, after: str, count: int) -> list[tuple[str, Transition]]:
        """
        :raises StoreError: when the store is away.
        """
        return await self._alarms.after(partition, after, count)

    async def managed(self, partition: int) -> bool:
        """
        :raises StoreError: when the store is away.
        """
        with store_errors():
            return bool(await self._store.redis.exists(keys.lease(partition)))
