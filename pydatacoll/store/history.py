"""Reading what the write path stored: latest values and recent samples."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from operator import attrgetter

from pydatacoll.codec.entry import decode_entry
from pydatacoll.model import PointId, Sample
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

_time = attrgetter("time")


def _decode(text: str | bytes | None) -> Sample | None:
    if text is None:
        return None
    try:
        return decode_entry(text)
    except ValueError:
        log.warning("an entry of the store is not readable: %.60r", text)
        return None


class History:
    """Latest values and recent samples. All methods raise StoreError when the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        """Latest sample of each point, ``None`` for one never stored; one command per device."""
        return [_decode(text) for text in await self.latest_entries(points)]

    async def latest_entries(self, points: Sequence[PointId]) -> list[str | None]:
        """The same, as they are stored (see :mod:`pydatacoll.codec.entry`)."""
        by_device: dict[str, list[int]] = {}
        for i, point in enumerate(points):
            by_device.setdefault(point.device_id, []).append(i)
        result: list[str | None] = [None] * len(points)
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for device_id, indexes in by_device.items():
                partition = keys.partition_of(device_id, self._store.partitions)
                fields = [f"{points[i].term_id}:{points[i].item_id}" for i in indexes]
                pipeline.hmget(keys.latest(partition, device_id), fields)
            replies = await pipeline.execute()
        for indexes, texts in zip(by_device.values(), replies, strict=True):
            for i, text in zip(indexes, texts, strict=True):
                result[i] = text
        return result

    async def latest_of_device(self, device_id: str) -> dict[str, Sample]:
        """All latest samples of a device, by ``term_id:item_id``."""
        partition = keys.partition_of(device_id, self._store.partitions)
        with store_errors():
            texts = await self._store.redis.hgetall(keys.latest(partition, device_id))
        return {str(field): sample for field, text in texts.items() if (sample := _decode(text)) is not None}

    def _list(self, point: PointId) -> str:
        partition = keys.partition_of(point.device_id, self._store.partitions)
        return keys.history(partition, point.device_id, f"{point.term_id}:{point.item_id}")

    async def recent(
        self,
        point: PointId,
        *,
        limit: int | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> list[Sample]:
        """Recent samples, oldest first; the newest ``limit`` of those with ``since <= time <= until``."""
        start = -limit if limit and since is None and until is None else 0
        with store_errors():
            texts = await self._store.redis.lrange(self._list(point), start, -1)
        samples = in_order(texts)
        if since is not None:
            samples = [sample for sample in samples if sample.time >= since]
        if until is not None:
            samples = [sample for sample in samples if sample.time <= until]
        if limit is not None:
            samples = samples[len(samples) - limit :] if limit < len(samples) else samples
        return samples

    async def at(self, point: PointId, index: int) -> Sample | None:
        """Recent sample by index: 0 the oldest, -1 the newest; ``None`` out of range."""
        samples = await self.recent(point)
        return samples[index] if -len(samples) <= index < len(samples) else None


def in_order(texts: Iterable[str | bytes]) -> list[Sample]:
    """Readable samples, oldest first. Nearly always they are stored so; but the clock of a device may be set, and
    a value without time tag may come just before an event that happened a little earlier."""
    samples = [sample for sample in map(_decode, texts) if sample is not None]
    samples.sort(key=_time)
    return samples
