"""Formulas on a real store: from stream to stream, each result once whatever dies."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from pydatacoll_plugins.formula import FormulaPlugin

from pydatacoll.manager import plugin_partition
from pydatacoll.model import PointId
from pydatacoll.model.change import apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.plugin import NoConfig, PluginContext
from pydatacoll.store import keys
from pydatacoll.store.history import History
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.plugin_reads import PluginReads
from pydatacoll.store.stream import decode_payload
from pydatacoll.testing.model import device, item, schemas, term, term_item
from test.integration.plugin_rig import Rig, until

ITEMS = "abcdef"
FORMULAS = {"a": "p1 + p2", "b": "p3[-2] + p1", "c": "p1 * 2"}


@pytest.fixture
async def rig(engine_store, monkeypatch):
    monkeypatch.setattr(plugin_partition, "TICK", 0.02)
    made = FormulaRig(engine_store)
    yield made
    await made.close()


class FormulaRig(Rig):
    """Device ``x`` with measured points, and formulas on the virtual device ``v``."""

    def __init__(self, store):
        super().__init__(store)
        self.registry = Registry()
        self.time = itertools.count(1)

        def plant(tx):
            for key in ITEMS:
                tx.create("item", item(key))
            for name in "xyv":
                tx.create("device", device(name, protocol="plain"))
                tx.create("term", term(name, name))
                for key in ITEMS:
                    tx.create("term_item", term_item(name, key, protocol_code=key if name in "xy" else None))

        self.change(plant)

    def change(self, fn):
        transaction = Transaction(self.registry, schemas())
        fn(transaction)
        apply(self.registry, transaction.changes)

    def formulas(self, target, texts):
        """Results on a device; p1 and p2 are points of x, p3 is the result a, p4 is a point of y."""
        params = {"p1": "x:x:a", "p2": "x:x:b", "p3": f"{target}:{target}:a", "p4": "y:y:a"}

        def write(tx):
            for key, text in texts.items():
                used = {name: ref for name, ref in params.items() if name in text}
                path = {"device_id": target, "term_id": target, "item_id": key}
                tx.create("formula", {"id": f"{target}{key}", "formula": text, **path, **used})

        self.change(write)

    async def formula_host(self, name="one", fault=(-1, "")):
        context = PluginContext(
            self.registry,
            Path(),
            logging.getLogger("test.formula"),
            PluginReads(self.store),
            partition_of=keys.partition_of,
        )
        return await self.host(FormulaPlugin(NoConfig(), context), name, fault)

    async def settled(self, host, formulas):
        """The formulas are looked at, and what they use is noted."""
        await self.ready(host)
        await until(lambda: host.plugin.status()["evaluations"] >= formulas)
        noted = keys.plugin_state(keys.partition_of("x"), "formula")
        await until(lambda: self.store.redis.hlen(noted))

    async def sample(self, name, *values):
        """One entry; the points are a, b, ... of a device."""
        time = float(next(self.time))
        fields = [f"{name}:{key}" for key in ITEMS[: len(values)]]
        packet = Packet(
            keys.partition_of(name), name, Account(read=len(values)), fields, list(values), time, 0, 100
        )
        self._writer.put(packet)
        await self._writer.flush()
        return time

    async def results(self, name):
        """What was derived: ``item, time, value``, in order."""
        rows = []
        for _, fields in await self.store.binary.xrange(keys.stream(keys.partition_of(name))):
            for batch in decode_payload(fields[b"b"]):
                if batch.device_id == name:
                    rows += [(point.item_id, sample.time, sample.value) for point, sample in batch.samples()]
        return rows


async def test_from_stream_to_stream(rig):
    rig.formulas("v", FORMULAS)
    host = await rig.formula_host()
    await rig.settled(host, 3)
    await rig.sample("x", 1, 10)
    await rig.sample("x", 2)
    await until(lambda: host.stats.handled >= 3 + 6)
    rows = await rig.results("v")
    assert [row for row in rows if row[0] == "a"] == [("a", 1.0, 11), ("a", 2.0, 12)]
    assert [row[2] for row in rows if row[0] == "b"] == [None, 13]
    history = await History(rig.store).recent(PointId("v", "v", "a"))
    assert [tuple(sample) for sample in history] == [(1.0, 11, 0), (2.0, 12, 0)]


async def test_inputs_of_two_partitions(rig):
    assert keys.partition_of("x") != keys.partition_of("y")
    rig.formulas("v", {"a": "p1 + p4"})
    host = await rig.formula_host()
    await rig.settled(host, 1)
    await rig.sample("x", 1)
    await until(lambda: host.stats.handled >= 1)
    await rig.sample("y", 20)
    await until(lambda: host.stats.handled >= 3)
    await rig.sample("x", 2)
    await until(lambda: host.stats.handled >= 6)
    assert [value for _, _, value in await rig.results("v")] == [None, 21, 22]


class Oracle:
    """What the formulas of the next test have to give, worked out in another way."""

    texts: ClassVar = {"a": "p1 + p2", "b": "p3[-2] + p1[-3] + p2", "c": "p3 * 2"}

    def __init__(self):
        self.first, self.second, self.sums = [], [], []
        self.rows = []

    def sample(self, time, first, second=None):
        self.first.append(first)
        if second is not None:
            self.second.append(second)
        self.sums.append(first + self.second[-1])
        b = self.sums[-2] + self.first[-3] + self.second[-1] if len(self.first) > 2 else None
        self.rows += [("a", time, self.sums[-1]), ("b", time, b), ("c", time, 2 * self.sums[-1])]


@pytest.mark.parametrize("how", ["before", "after", "die before", "die after"])
async def test_results_equal_those_of_an_undisturbed_run(rig, how, monkeypatch):
    """Whatever call to the store goes wrong, or is the last thing that a process does."""
    monkeypatch.setattr(FormulaPlugin, "batch_samples", 1)  # entry by entry: more calls
    rig.formulas("v", Oracle.texts)
    host = await rig.formula_host()
    await rig.settled(host, 3)
    await rig.stop(host)
    oracle = Oracle()

    async def arrived():
        return len(await rig.results("v")) >= len(oracle.rows)

    for fault in itertools.count(rig.store.partitions, 2):
        host = await rig.formula_host(f"r{fault}", (fault, how))
        store = host._store
        for n in range(5):
            row = (fault + n, 3 * n) if n % 2 == 0 else (fault * n,)
            oracle.sample(await rig.sample("x", *row), *row)
        await until(partial(_arrived_or_died, store, arrived))
        if store.died.is_set():
            await rig.kill(host)
            host = await rig.formula_host(f"again{fault}")
        await until(arrived)
        await rig.stop(host)
        if store.calls <= fault:
            break
    assert fault > rig.store.partitions + 8
    assert await rig.results("v") == oracle.rows


async def _arrived_or_died(store, arrived):
    return store.died.is_set() or await arrived()
