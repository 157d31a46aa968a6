"""Samples for outside listeners, on ``CHANNEL:DEVICE_DATA:d:t:i``."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from pydatacoll.errors import StoreError
from pydatacoll.model import DeviceBatch, sample_to_wire
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.packets import Packet

log = logging.getLogger(__name__)


async def publish(store: Store, packets: Sequence[Packet | DeviceBatch]) -> int:
    """Publish samples as JSON; returns how many. Lost when the connection breaks, as pub/sub is."""
    pipeline = store.redis.pipeline(transaction=False)
    count = 0
    for packet in packets:
        batch = DeviceBatch(packet.device_id, packet.fields, packet.times, packet.values, packet.qualities)
        for point, sample in batch.samples():
            pipeline.publish(keys.data_channel(str(point)), msgspec.json.encode(sample_to_wire(point, sample)))
            count += 1
    try:
        with store_errors():
            await pipeline.execute()
    except StoreError as error:
        log.debug("not published: %s", error)
        return 0
    return count
