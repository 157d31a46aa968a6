"""The data stream as plugins read it, and its trimming.

A plugin's place in a partition is the last id of its consumer group, see :mod:`pydatacoll.store.plugin_progress`.
What was trimmed before a group had handled it is counted by ``ingest.lua`` in ``HS:DROPPED:{pN}``; it is never
lost silently.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from redis.exceptions import ResponseError

from pydatacoll.model import DeviceBatch
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.xread import Fields, StreamsReader, pairs

log = logging.getLogger(__name__)

decode_payload = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
"""Payload of an entry -> the samples in it.

:raises msgspec.DecodeError: when it is none.
"""
TRIM_STEP = 200
"""Entries removed in one call."""


class Entry(NamedTuple):
    """One entry of a partition's stream, not decoded yet."""

    id: str
    payload: bytes
    samples: int


class StreamReader:
    """Reads new entries of several partitions over one connection of its own."""

    def __init__(self, store: Store) -> None:
        self._reader = StreamsReader(store)
        self.close = self._reader.close

    async def read(self, after: Mapping[int, str], *, count: int, block: float) -> dict[int, list[Entry]]:
        """Entries of the partitions after the ids given, oldest first; at most ``count`` of each.

        :param block: seconds to wait for the first one; 0 does not wait.
        :raises StoreError: when the store is away.
        """
        places = {keys.stream(partition): entry_id for partition, entry_id in after.items()}
        found = await self._reader.read(places, count=count, block=block)
        partitions = {name.encode(): partition for name, partition in zip(places, after, strict=True)}
        return {
            partitions[name]: [_entry(entry_id, fields) for entry_id, fields in entries]
            for name, entries in found.items()
        }


def _entry(entry_id: bytes, fields: Fields) -> Entry:
    found = pairs(fields)
    return Entry(entry_id.decode(), found.get(b"b", b""), int(found.get(b"n", 0)))


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
