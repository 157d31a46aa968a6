"""The latest values of devices together with the place in the data stream that they stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from pydatacoll.codec.entry import decode_entry
from pydatacoll.model import Sample
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

StreamId = tuple[int, int]
"""Id of an entry: milliseconds, number."""


def stream_id(text: str | bytes) -> StreamId:
    """``1795255708123-0`` -> its two numbers."""
    milliseconds, _, number = (text.decode() if isinstance(text, bytes) else text).partition("-")
    return int(milliseconds), int(number or 0)


async def last_ids(store: Store, names: Sequence[str]) -> list[str]:
    """Id of the last entry that each stream ever had.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        pipeline = store.binary.pipeline(transaction=False)
        for name in names:
            pipeline.xinfo_stream(name)
        found: list[Any] = await pipeline.execute(raise_on_error=False)
    ids = []
    for info in found:
        if isinstance(info, ResponseError) and "no such key" in str(info):
            ids.append("0-0")
        elif isinstance(info, Exception):
            with store_errors():
                raise info
        else:
            ids.append(info["last-generated-id"].decode())
    return ids


async def latest_of(
    store: Store, partition: int, device_ids: Sequence[str]
) -> tuple[list[Mapping[bytes, bytes]], StreamId]:
    """Latest values of devices of one partition, as they are stored, and the entry of the stream that was the last
    one at that moment.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        pipeline = store.binary.pipeline(transaction=True)
        pipeline.xrevrange(keys.stream(partition), count=1)
        for device_id in device_ids:
            pipeline.hgetall(keys.latest(partition, device_id))
        last, *found = await pipeline.execute()
    return found, stream_id(last[0][0]) if last else (0, 0)


def readable(entries: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, Sample]]:
    """Stored entries as samples; what is not readable is left out."""
    for field, text in entries:
        try:
            yield field.decode(), decode_entry(text)
        except ValueError:
            log.warning("an entry of the store is not readable: %.60r", text)
