"""The data stream as plugins see it: consumer groups over the partitions' streams.

Delivery is at least once. What was trimmed before a group had acknowledged it is counted by ``ingest.lua`` in
``HS:DROPPED:{pN}`` and reported by :meth:`StreamReader.dropped`; it is never lost silently.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from pydatacoll.model import DataBatch, DeviceBatch
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

_decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
_encode = msgspec.msgpack.encode
DEAD_LETTERS = 10_000
"""Most dead letters kept per plugin and partition, about."""
TRIM_STEP = 200
"""Entries removed in one call."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a group is behind: entries not yet delivered, and delivered but not acknowledged."""

    undelivered: int
    unacknowledged: int


class StreamReader:
    """One consumer of one group (a plugin), over some or all partitions."""

    def __init__(self, store: Store, group: str, consumer: str, partitions: Iterable[int] | None = None) -> None:
        self._store = store
        self.group = group
        self.consumer = consumer
        self.partitions = list(range(store.partitions) if partitions is None else partitions)
        self._blocking: Redis | None = None

    async def start(self, *, from_start: bool = False) -> None:
        """Create the group where it does not exist; a new group begins now (or with the oldest entry kept).

        :raises StoreError: when the store is away.
        """
        with store_errors():
            for partition in self.partitions:
                try:
                    await self._store.redis.xgroup_create(
                        keys.stream(partition), self.group, "0" if from_start else "$", mkstream=True
                    )
                except ResponseError as error:
                    if not str(error).startswith("BUSYGROUP"):
                        raise

    async def close(self) -> None:
        """Close the reading connection; pending entries stay with the group."""
        if self._blocking is not None:
            client, self._blocking = self._blocking, None
            with contextlib.suppress(OSError):
                await self._store.release(client)

    async def read(self, *, count: int = 10, block: float = 1.0) -> list[DataBatch]:
        """New entries, oldest first within a partition; at most ``count`` per partition.

        Waits up to ``block`` seconds (at most 2). Entries stay pending until :meth:`ack`.

        :raises StoreError: when the store is away.
        """
        if self._blocking is None:
            self._blocking = self._store.dedicated(binary=True)
        streams: dict[Any, Any] = {keys.stream(partition): ">" for partition in self.partitions}
        try:
            with store_errors():
                reply = await self._blocking.xreadgroup(
                    self.group, self.consumer, streams, count=count, block=max(1, int(min(block, 2.0) * 1000))
                )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self.start(from_start=True)  # the store was emptied
            return []
        except BaseException:
            # a cancelled or broken read may have an answer on its way: entries in it stay pending
            await self.close()
            raise
        return self._batches(reply or {})

    def _batches(self, reply: Any) -> list[DataBatch]:
        by_name = {keys.stream(partition).encode(): partition for partition in self.partitions}
        items = reply.items() if isinstance(reply, dict) else reply
        batches = []
        for name, chunks in items:
            entries = chunks[0] if chunks and isinstance(chunks[0], list) else chunks
            for entry_id, fields in entries:
                batches.append(_batch(by_name[name], entry_id, fields))
        return batches

    async def ack(self, batches: Sequence[DataBatch]) -> None:
        """Acknowledge: these will not come again.

        :raises StoreError: when the store is away; they will come again then.
        """
        by_partition: dict[int, list[str]] = {}
        for batch in batches:
            by_partition.setdefault(batch.partition, []).append(batch.entry_id)
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition, ids in by_partition.items():
                pipeline.xack(keys.stream(partition), self.group, *ids)
            await pipeline.execute()

    async def claim(self, min_idle: float, *, count: int = 10) -> list[DataBatch]:
        """Take over entries that some consumer of the group has held for ``min_idle`` seconds or longer.

        ``min_idle=0`` with the same consumer name takes back what this consumer held before a restart.

        :raises StoreError: when the store is away.
        """
        batches: list[DataBatch] = []
        for partition in self.partitions:
            name = keys.stream(partition)
            with store_errors():
                reply = await self._store.binary.xautoclaim(
                    name, self.group, self.consumer, int(min_idle * 1000), "0-0", count=count
                )
                entries = [entry for entry in reply[1] if entry[1] is not None]
                if not entries:
                    continue
                pending = await self._store.redis.xpending_range(
                    name, self.group, "-", "+", len(entries) + count, consumername=self.consumer
                )
            deliveries = {row["message_id"]: row["times_delivered"] for row in pending}
            for entry_id, fields in entries:
                batch = _batch(partition, entry_id, fields)
                batches.append(msgspec.structs.replace(batch, deliveries=deliveries.get(batch.entry_id, 2)))
        return batches

    async def dead_letter(self, batch: DataBatch, error: str) -> None:
        """Put a batch (or a part of one) that cannot be handled aside, with the error; does not acknowledge.

        :raises StoreError: when the store is away.
        """
        with store_errors():
            await self._store.redis.xadd(
                keys.dead_letter(batch.partition, self.group),
                {
                    "b": _encode(batch.devices),
                    "n": len(batch),
                    "entry": batch.entry_id,
                    "error": error[:1000],
                },
                maxlen=DEAD_LETTERS,
                approximate=True,
            )

    async def dropped(self) -> int:
        """Samples trimmed from the stream before this group had acknowledged them, since ever."""
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in self.partitions:
                pipeline.hget(keys.stream_dropped(partition), self.group)
            return sum(int(count or 0) for count in await pipeline.execute())

    async def lag(self) -> Lag:
        """How far the group is behind, in entries over all partitions."""
        undelivered = unacknowledged = 0
        with store_errors():
            for partition in self.partitions:
                for row in await self._store.redis.xinfo_groups(keys.stream(partition)):
                    if row["name"] == self.group:
                        undelivered += int(row.get("lag") or 0)
                        unacknowledged += int(row["pending"])
        return Lag(undelivered, unacknowledged)


def _batch(partition: int, entry_id: bytes, fields: Any) -> DataBatch:
    pairs = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return DataBatch(partition, entry_id.decode(), _decode(pairs[b"b"]))


async def trim(store: Store, partition: int, retention: float, now: float) -> dict[str, int]:
    """Remove entries older than ``retention`` seconds that every group has acknowledged.

    :param now: epoch seconds by the store's clock.
    :returns: samples dropped per group by this call; empty, as long as groups are honest.
    :raises StoreError: when the store is away.
    """
    name = keys.stream(partition)
    keep = (int((now - retention) * 1000), 0)
    with store_errors():
        try:
            groups = await store.redis.xinfo_groups(name)
        except ResponseError as error:
            if "no such key" in str(error):
                return {}
            raise
        for group in groups:
            keep = min(keep, _id(str(group["last-delivered-id"])))
            if int(group["pending"]):
                pending = await store.redis.xpending(name, group["name"])
                if pending["min"] is not None:  # else acknowledged since the line above
                    keep = min(keep, _id(str(pending["min"])))
    if keep <= (0, 0):
        return {}  # a group has read nothing yet
    dropped: dict[str, int] = {}
    while True:
        removed, report = await store.fcall(
            "trim_stream",
            [name, keys.stream_dropped(partition)],
            [f"{keep[0]}-{keep[1]}", TRIM_STEP],
        )
        for group_name, samples in zip(report[::2], report[1::2], strict=True):
            dropped[group_name.decode()] = dropped.get(group_name.decode(), 0) + int(samples)
        if removed < TRIM_STEP:
            return dropped


def _id(text: str) -> tuple[int, int]:
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)
