"""Recent data of points that were deleted or renamed: removed or moved, a few hundred at a time.

Key names come from the model; the key space is never scanned. Other requests go in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, islice

import msgspec

from pydatacoll.model import PointId
from pydatacoll.model.change import DataDrop, DataMove, DataOp, DeviceDrop, DeviceMove
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.client import Store, store_errors

CHUNK = 500
"""Points handled in one call."""


async def carry_out(store: Store, ops: Sequence[DataOp]) -> None:
    """Do what a transaction means for recent data, in order.

    :raises StoreError: when the store is away or refuses.
    """
    for _, run in groupby(ops, _sort):
        while part := list(islice(run, CHUNK)):
            await drop_points(store, [op.point for op in part if isinstance(op, DataDrop)])
            await drop_devices(store, [op.device_id for op in part if isinstance(op, DeviceDrop)])
            await _move_points(store, [op for op in part if isinstance(op, DataMove)])
            for op in part:
                if isinstance(op, DeviceMove):
                    await _move_device(store, op)


def _sort(op: DataOp) -> str:
    """Operations of one sort can be done in any order."""
    return "drop" if isinstance(op, DataDrop | DeviceDrop) else type(op).__name__


async def drop_points(store: Store, points: Iterable[PointId]) -> None:
    """Delete recent samples and latest values; their alarms end."""
    rest = list(points)
    for start in range(0, len(rest), CHUNK):
        lists = []
        fields: dict[str, list[str]] = {}
        for device_id, term_id, item_id in rest[start : start + CHUNK]:
            partition = keys.partition_of(device_id, store.partitions)
            field = f"{term_id}:{item_id}"
            lists.append(keys.history(partition, device_id, field))
            fields.setdefault(keys.latest(partition, device_id), []).append(field)
        with store_errors():
            async with store.redis.pipeline(transaction=False) as pipe:
                pipe.unlink(*lists)
                for name, members in fields.items():
                    pipe.hdel(name, *members)
                await pipe.execute()
    await Alarms(store).drop(rest)


async def drop_devices(store: Store, devices: Iterable[str]) -> None:
    """Delete what is kept per device."""
    rest = list(devices)
    for start in range(0, len(rest), CHUNK):
        latest = []
        members: dict[int, list[str]] = {}
        for device_id in rest[start : start + CHUNK]:
            partition = keys.partition_of(device_id, store.partitions)
            latest.append(keys.latest(partition, device_id))
            members.setdefault(partition, []).append(device_id)
        with store_errors():
            async with store.redis.pipeline(transaction=False) as pipe:
                pipe.unlink(*latest)
                for partition, ids in members.items():
                    pipe.srem(keys.data_devices(partition), *ids)
                    pipe.hdel(keys.link(partition), *ids)
                    pipe.hdel(keys.status(partition), *ids)
                await pipe.execute()


async def _move_points(store: Store, moves: Sequence[DataMove]) -> None:
    for start in range(0, len(moves), CHUNK):
        rows = [
            [part for point in move for part in _places(point, store.partitions)]
            for move in moves[start : start + CHUNK]
        ]
        # list, hash, field of the old path, then of the new one
        await store.fcall("model_move", [], [msgspec.msgpack.encode(rows)])
    # an alarm does not move: the checker raises it anew, under the new name
    await Alarms(store).drop(move.old for move in moves)


def _places(point: PointId, partitions: int) -> tuple[str, str, str]:
    partition = keys.partition_of(point.device_id, partitions)
    field = f"{point.term_id}:{point.item_id}"
    return keys.history(partition, point.device_id, field), keys.latest(partition, point.device_id), field


async def _move_device(store: Store, move: DeviceMove) -> None:
    old, new = (keys.partition_of(device_id, store.partitions) for device_id in move)
    with store_errors():
        for name in (keys.link, keys.status):
            kept = await store.redis.hget(name(old), move.old)
            if kept is not None:
                await store.redis.hset(name(new), move.new, kept)
        if await store.redis.sismember(keys.data_devices(old), move.old):
            await store.redis.sadd(keys.data_devices(new), move.new)
    await drop_devices(store, [move.old])
