"""Plugins: how fast the host gives the data stream to one, with acknowledgements and effects."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bench.report import Row
from pydatacoll.manager.plugin_host import HostSettings, PluginHost
from pydatacoll.model import DeviceBatch, PointId, Sample
from pydatacoll.model.registry import Registry
from pydatacoll.sdk import DataBatch, Effects, NoConfig, Plugin, PluginContext
from pydatacoll.settings import RedisSettings
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.embedded import EmbeddedServer
from pydatacoll.store.plugin_reads import PluginReads

SAMPLES = 2_000_000
DEVICES = 32
MUST = 300_000


class Nothing(Plugin):
    """Looks at nothing."""

    name = "nothing"

    async def handle(self, batch: DataBatch) -> None:
        return None


class NothingJoined(Nothing):
    name = "nothing_joined"
    batch_samples = 10_000


class Remembering(Plugin):
    """Changes its state with every batch, so that every batch has a commit of its own."""

    name = "remembering"
    batch_samples = 10_000

    async def handle(self, batch: DataBatch) -> Effects:
        return Effects(state={"last": batch.entry_id.encode()})


class Deriving(Plugin):
    """Derives a sample of every tenth."""

    name = "deriving"
    batch_samples = 10_000

    async def handle(self, batch: DataBatch) -> Effects | None:
        samples = [
            (PointId("derived", device.device_id, field.partition(":")[2]), Sample(1.0, value))
            for device in batch.devices
            if device.device_id != "derived"
            for field, value in zip(device.fields[::10], device.values[::10], strict=True)
        ]
        return Effects(samples=samples) if samples else None


def entries(total: int, per_entry: int) -> Iterator[tuple[str, bytes]]:
    """Devices and payloads, as managers store them."""
    fields = [f"t:i{n}" for n in range(per_entry)]
    for number in range(total // per_entry):
        device = f"d{number % DEVICES}"
        values: list[Any] = [number + n * 0.5 for n in range(per_entry)]
        yield device, msgspec.msgpack.encode([DeviceBatch(device, fields, 1.7e9 + number, values)])


async def fill(store: Store, total: int, per_entry: int) -> int:
    """Put entries into the streams; returns the number of samples."""
    pipeline = store.binary.pipeline(transaction=False)
    count = 0
    for device, payload in entries(total, per_entry):
        partition = keys.partition_of(device, store.partitions)
        pipeline.xadd(keys.stream(partition), {"b": payload, "n": per_entry})
        pipeline.incrby(keys.stream_samples(partition), per_entry)
        count += per_entry
        if len(pipeline) >= 200:
            await pipeline.execute()
    await pipeline.execute()
    return count


def host(
    url: str, plugin_type: type[Plugin], config: object = NoConfig(), model: Registry | None = None
) -> PluginHost:
    """A host as a plugin runner has it."""
    store = Store(url)
    context = PluginContext(
        model or Registry(),
        Path("."),
        logging.getLogger("bench"),
        PluginReads(store),
        partition_of=keys.partition_of,
    )
    return PluginHost(plugin_type(config, context), store, HostSettings())


async def throughput(
    url: str,
    plugin_type: type[Plugin],
    *,
    per_entry: int,
    total: int = SAMPLES,
    config: object = NoConfig(),
    model: Registry | None = None,
) -> float:
    """Samples per second from a backlog to all acknowledged, with one runner."""
    store = await Store.open(url)
    await store.redis.flushall()
    await store.settle()
    first = host(url, plugin_type, config, model)
    task = asyncio.create_task(first.run())
    while sum(runner.reading for runner in first._runners.values()) < store.partitions:
        await asyncio.sleep(0.01)
    await _end(task)  # its consumer groups exist now
    count = await fill(store, total, per_entry)
    second = host(url, plugin_type, config, model)
    begun = time.perf_counter()
    task = asyncio.create_task(second.run())
    while second.stats.handled < count:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begun
    await _end(task)
    await store.close()
    return count / seconds


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _plugins() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="pdc-bench-") as folder:
        server = EmbeddedServer(Path(folder), RedisSettings())
        url = await server.start()
        try:
            for plugin_type, per_entry, text in (
                (Nothing, 100, "a plugin that does nothing, entry by entry of 100"),
                (Nothing, 1000, "a plugin that does nothing, entry by entry of 1,000"),
                (NothingJoined, 100, "the same, entries of 100 joined to 10,000"),
                (Remembering, 100, "state committed with every batch of 10,000"),
            ):
                rate = await throughput(url, plugin_type, per_entry=per_entry)
                rows.append(Row(f"samples/s through {text}", f"{rate:,.0f}", f">= {MUST:,}", rate >= MUST))
            rate = await throughput(url, Deriving, per_entry=100, total=SAMPLES // 2)
            rows.append(
                Row(
                    "samples/s derived from ten times as many, stored once",
                    f"{rate / 10:,.0f}",
                    ">= 30,000",
                    rate >= 300_000,
                )
            )
        finally:
            await server.stop()
    return rows


def plugins() -> list[Row]:
    """The host of plugins: a backlog of 2,000,000 samples, one runner."""
    return uvloop.run(_plugins())
