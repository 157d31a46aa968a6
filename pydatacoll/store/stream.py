"""The data stream as plugins read it, and its trimming.

A plugin's place in a partition is the last id of its consumer group, see :mod:`pydatacoll.store.plugin_progress`.
What was trimmed before a group had handled it is counted by ``ingest.lua`` in ``HS:DROPPED:{pN}``; it is never
lost silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Connection
from redis.exceptions import RedisError, ResponseError

from pydatacoll.model import DeviceBatch
from pydatacoll.store import keys
from pydatacoll.store.client import TIMEOUT, Store, store_errors

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
        self._store = store
        self._connection: Connection | None = None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect()

    async def read(self, after: Mapping[int, str], *, count: int, block: float) -> dict[int, list[Entry]]:
        """Entries of the partitions after the ids given, oldest first; at most ``count`` of each.

        :param block: seconds to wait for the first one; 0 does not wait.
        :raises StoreError: when the store is away.
        """
        try:
            with store_errors():
                async with asyncio.timeout(block + TIMEOUT):
                    reply = await self._ask(after, count, int(block * 1000))
        except BaseException:
            await self.close()  # its answer may be on its way
            raise
        partitions = {keys.stream(partition).encode(): partition for partition in after}
        return {
            partitions[name]: [_entry(entry_id, fields) for entry_id, fields in entries]
            for name, entries in (reply or {}).items()
        }

    async def _ask(self, after: Mapping[int, str], count: int, milliseconds: int) -> Any:
        if self._connection is None:
            self._connection = self._store.connection()
            await self._connection.connect()  # type: ignore[no-untyped-call]
        block = ["BLOCK", milliseconds] if milliseconds else []
        names = map(keys.stream, after)
        await self._connection.send_command("XREAD", "COUNT", count, *block, "STREAMS", *names, *after.values())
        return await self._connection.read_response()


def _entry(entry_id: bytes, fields: Sequence[bytes]) -> Entry:
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    return Entry(entry_id.decode(), pairs.get(b"b", b""), int(pairs.get(b"n", 0)))


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
