"""Formulas from stream to stream: a backlog of samples, results stored, one runner."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from pydatacoll_plugins.formula import FormulaPlugin

from bench.machine import cpu_seconds
from bench.plugins import DEVICES, fill
from bench.report import Row
from pydatacoll.manager.plugin_host import HostSettings, PluginHost
from pydatacoll.model import Device, Formula, Item, Term, TermItem
from pydatacoll.model.registry import Registry
from pydatacoll.runtime import tune_gc
from pydatacoll.sdk import NoConfig, PluginContext
from pydatacoll.settings import RedisSettings
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.embedded import EmbeddedServer
from pydatacoll.store.plugin_reads import PluginReads

SAMPLES = 1_000_000
MUST = 60_000
HELD = 0.05
"""Seconds; who is asked something waits so long."""
SCALAR = "p1 + p2 * 0.5"
WINDOW = "mean(p1, '15m') + p2"


def plant(per_device: int, text: str) -> Registry:
    """Devices with so many points, and on a virtual device for each a formula for every two of them."""
    model = Registry()
    for n in range(per_device):
        model.put_item(Item(id=f"i{n}", name="i"))
    for number in range(DEVICES):
        measured, virtual = f"d{number}", f"v{number}"
        model.put_device(Device(id=virtual, name=virtual, protocol="formula"))
        model.put_term(Term(id=virtual, name="t", device_id=virtual))
        for n in range(0, per_device, 2):
            model.put_term_item(TermItem(term_id=virtual, item_id=f"i{n}"))
            params = {"p1": f"{measured}:t:i{n}", "p2": f"{measured}:t:i{n + 1}"}
            target: dict[str, Any] = {"device_id": virtual, "term_id": virtual, "item_id": f"i{n}"}
            model.put_formula(Formula(id=f"{virtual}.{n}", formula=text, params=params, **target))
    return model


def _host(url: str, model: Registry) -> PluginHost:
    store = Store(url)
    log = logging.getLogger("bench")
    context = PluginContext(model, Path("."), log, PluginReads(store), partition_of=keys.partition_of)
    return PluginHost(FormulaPlugin(NoConfig(), context), store, HostSettings())


async def _stored(store: Store) -> int:
    counts = await store.redis.mget([keys.stream_samples(n) for n in range(store.partitions)])
    return sum(int(count or 0) for count in counts)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class LoopWatch:
    """How long the event loop was held at most, in seconds of its CPU: others on the machine do not count."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.thread_time() - begun)

    async def end(self) -> None:
        await _end(self._task)


async def throughput(
    url: str, server: int, *, per_entry: int, text: str
) -> tuple[float, float, dict[str, float | str]]:
    """Evaluations per second with a backlog, all results stored; how long the event loop was held at most, from
    the start of the runner, seconds; and what explains it."""
    store = await Store.open(url)
    await store.redis.flushall()
    await store.settle()
    model = plant(per_entry, text)
    first = _host(url, model)
    task = asyncio.create_task(first.run())
    while first.plugin.status()["evaluations"] < len(model.formulas):
        await asyncio.sleep(0.05)
    await _end(task)
    count = await fill(store, SAMPLES, per_entry)
    before = await _stored(store)
    second = _host(url, model)
    tune_gc()  # as the processes do that host plugins
    watch = LoopWatch()
    asked = time.perf_counter()
    task = asyncio.create_task(second.run())
    while (first_results := await _stored(store) - before) < count // 20:
        await asyncio.sleep(0.005)
    own, its, begun = cpu_seconds(os.getpid()), cpu_seconds(server), time.perf_counter()
    while await _stored(store) < before + count // 2:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begun
    await watch.end()
    notes: dict[str, float | str] = {
        "runner": f"{(cpu_seconds(os.getpid()) - own) / seconds:.0%} of a core",
        "store": f"{(cpu_seconds(server) - its) / seconds:.0%}",
        "formulas": f"{len(model.formulas):,}",
        "first tenth of the results after": f"{begun - asked:.1f} s",
    }
    await _end(task)
    await store.close()
    return (count // 2 - first_results) / seconds, watch.longest, notes


async def _formula() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="pdc-bench-") as folder:
        server = EmbeddedServer(Path(folder), RedisSettings())
        url = await server.start()
        try:
            for per_entry, text, name in (
                (1000, SCALAR, "scalar of two parameters, entries of 1,000"),
                (100, SCALAR, "scalar of two parameters, entries of 100"),
                (1000, WINDOW, "a window of 15 minutes in it, entries of 1,000"),
            ):
                rate, held, notes = await throughput(url, server.pid or 0, per_entry=per_entry, text=text)
                must = (f">= {MUST:,}", rate >= MUST) if text == SCALAR else ("", True)
                rows.append(Row(f"formulas/s, {name}", f"{rate:,.0f}", *must, notes=notes))
                rows.append(
                    Row(
                        f"formulas, {name}: event loop held at most (CPU)",
                        f"{held * 1000:.0f} ms",
                        f"< {HELD * 1000:.0f} ms",
                        held < HELD,
                    )
                )
        finally:
            await server.stop()
    return rows


def formula() -> list[Row]:
    """Formulas of two parameters, from stream to stream."""
    return uvloop.run(_formula())
