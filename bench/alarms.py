"""The checker: how fast it looks at values, from the stream to the acknowledgement."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from pydatacoll_plugins.checker import Checker

from bench.plugins import _end, host
from bench.report import Row
from pydatacoll.model import Device, DeviceBatch, Item, Term, TermItem
from pydatacoll.model.registry import Registry
from pydatacoll.settings import RedisSettings
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.embedded import EmbeddedServer

DEVICES = 10
ITEMS = 1000
ROUNDS = 150
MUST = 300_000
LIMITS: dict[str, Any] = {
    "low_low": 0.0,
    "down_limit": 10.0,
    "up_limit": 90.0,
    "high_high": 100.0,
    "hysteresis": 1.0,
}


def model() -> Registry:
    """10,000 points with four limits each."""
    registry = Registry()
    for n in range(ITEMS):
        registry.put_item(Item(id=f"i{n}", name="i"))
    for d in range(DEVICES):
        registry.put_device(Device(id=f"d{d}", name="d", protocol="p"))
        registry.put_term(Term(id=f"t{d}", name="t", device_id=f"d{d}"))
        for n in range(ITEMS):
            registry.put_term_item(TermItem(term_id=f"t{d}", item_id=f"i{n}", **LIMITS))
    return registry


async def _fill(store: Store, share: float) -> int:
    """Readings of all points, one device after the other; this share of the values is beyond a limit."""
    chosen = random.Random(1)
    pipeline = store.binary.pipeline(transaction=False)
    for number in range(ROUNDS):
        for d in range(DEVICES):
            values = [95.0 if chosen.random() < share else 50.0 + chosen.random() for _ in range(ITEMS)]
            batch = DeviceBatch(f"d{d}", [f"t{d}:i{n}" for n in range(ITEMS)], 1.7e9 + number, values)
            partition = keys.partition_of(f"d{d}", store.partitions)
            pipeline.xadd(keys.stream(partition), {"b": msgspec.msgpack.encode([batch]), "n": ITEMS})
        await pipeline.execute()
    return ROUNDS * DEVICES * ITEMS


async def _throughput(url: str, share: float) -> tuple[float, int]:
    """Values per second from a backlog to all acknowledged with one runner; transitions of alarms."""
    store = await Store.open(url)
    await store.redis.flushall()
    await store.settle()
    registry = model()
    first = host(url, Checker, model=registry)
    task = asyncio.create_task(first.run())
    while not all([await _known(store, d) for d in range(DEVICES)]):
        await asyncio.sleep(0.01)
    await _end(task)
    count = await _fill(store, share)
    second = host(url, Checker, model=registry)
    begun = time.perf_counter()
    task = asyncio.create_task(second.run())
    while second.stats.handled < count:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begun
    await _end(task)
    transitions = 0
    for partition in range(store.partitions):
        if await store.redis.exists(keys.alarm_stream(partition)):
            transitions += (await store.binary.xinfo_stream(keys.alarm_stream(partition)))["entries-added"]
    await store.close()
    return count / seconds, transitions


async def _known(store: Store, device: int) -> bool:
    partition = keys.partition_of(f"d{device}", store.partitions)
    return bool(await store.redis.hexists(keys.plugin_state(partition, Checker.name), f"rules:d{device}"))


async def _checker() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="pdc-bench-") as folder:
        server = EmbeddedServer(Path(folder), RedisSettings())
        url = await server.start()
        try:
            for share, text, must in (
                (0.0, "all within", MUST),
                (0.001, "1 of 1,000 beyond", MUST),
                (0.01, "1 of 100 beyond", None),
            ):
                rate, transitions = await _throughput(url, share)
                rows.append(
                    Row(
                        f"checker, 10,000 points with four limits, {text}, values/s",
                        f"{rate:,.0f}",
                        f">= {must:,}" if must else "",
                        must is None or rate >= must,
                        notes={"transitions": f"{transitions:,}"},
                    )
                )
        finally:
            await server.stop()
    return rows


def checker() -> list[Row]:
    """The checker: a backlog of 1,500,000 values of 10,000 points, one runner."""
    return uvloop.run(_checker())
