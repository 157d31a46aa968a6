"""Formulas in runners that are killed again and again: the results equal those of an undisturbed run."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.stream import decode_payload
from pydatacoll.testing.demo_formulas import FORMULA_MODEL
from test.system.rig import eventually

KILLS = 6
X = "x:xt:"


@pytest.fixture
async def writing(rig):
    """Starts a writer of samples into the rig's store."""
    opened = []

    async def start():
        store = await Store.open(rig.store_url())
        writer = Writer(store, "test", stream_bytes=10_000_000)
        opened.append((store, asyncio.get_running_loop().create_task(writer.run())))
        return store, writer

    yield start
    for store, task in opened:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()


class Oracle:
    """What the formulas have to give, worked out in another way."""

    formulas = (
        ("a", "p1 + p2", {"p1": X + "a", "p2": X + "b"}),
        ("b", "p1[-2] + p2[-3] + p3", {"p1": "v:vt:a", "p2": X + "a", "p3": X + "b"}),
        ("c", "p1 * 2", {"p1": "v:vt:a"}),
    )

    def __init__(self):
        self.first, self.second, self.sums = [], [0], []
        self.rows = []

    def sample(self, time, first, second):
        self.first.append(first)
        if second is not None:
            self.second.append(second)
        self.sums.append(first + self.second[-1])
        b = self.sums[-2] + self.first[-3] + self.second[-1] if len(self.first) > 2 else None
        self.rows += [("a", time, self.sums[-1]), ("b", time, b), ("c", time, 2 * self.sums[-1])]


async def plant(client):
    await client.send("POST", "/api/v2/items", [{"id": key, "name": key} for key in "abc"])
    devices = [{"id": "x", "name": "x", "protocol": "modbus_tcp"}, {"id": "v", "name": "v", "protocol": "formula"}]
    await client.send("POST", "/api/v2/devices", devices)
    await client.send("POST", "/api/v2/terms", [{"id": f"{d}t", "name": d, "device_id": d} for d in "xv"])
    points = [{"term_id": f"{d}t", "item_id": key} for d in "xv" for key in "abc"]
    await client.send("POST", "/api/v2/term_items", points)
    formulas = [
        {"id": key, "formula": text, "device_id": "v", "term_id": "vt", "item_id": key, **params}
        for key, text, params in Oracle.formulas
    ]
    await client.send("POST", "/api/v2/formulas", formulas)


async def results(store):
    """What was derived, in the order of the stream."""
    rows = []
    for _, fields in await store.binary.xrange(keys.stream(keys.partition_of("v", store.partitions))):
        for batch in decode_payload(fields[b"b"]):
            if batch.device_id == "v":
                rows += [(point.item_id, sample.time, sample.value) for point, sample in batch.samples()]
    return rows


async def test_killed_runners_give_the_results_of_an_undisturbed_run(rig, writing):
    rig.data_dir.mkdir(mode=0o700)
    api = await rig.api("--no-manager")
    await eventually(lambda: api.client.request("GET", "/healthz"))
    await plant(api.client)
    store, writer = await writing()
    state = keys.plugin_state(keys.partition_of("x", store.partitions), "formula")

    def runner():
        return rig.launch("plugin_runner", "formula", "--data-dir", str(rig.data_dir))

    runners = [runner(), runner()]
    await eventually(lambda: store.redis.hlen(state), "the inputs are noted", within=20)
    oracle, dice = Oracle(), random.Random(4)
    time = 0.0

    async def feed(entries):
        nonlocal time
        for _ in range(entries):
            time += 1.0
            first, second = dice.randrange(1000), dice.choice([None, dice.randrange(1000)]) if time > 1 else 1
            values = [first] if second is None else [first, second]
            fields = ["xt:a", "xt:b"][: len(values)]
            partition = keys.partition_of("x", store.partitions)
            writer.put(Packet(partition, "x", Account(read=len(values)), fields, values, time, 0, 100))
            await writer.flush()
            oracle.sample(time, first, second)

    killed = 0
    for _ in range(KILLS):
        before = len(await results(store))
        feeding = asyncio.get_running_loop().create_task(feed(dice.randrange(100, 400)))
        goal = before + dice.randrange(1, 60)
        await eventually(lambda goal=goal: _reached(store, goal), "results come", within=30)
        # the one that calculates dies first, and the one that takes over perhaps soon after
        for victim in list(runners)[: dice.choice([1, 2])]:
            await victim.kill()
            runners.remove(victim)
            runners.append(runner())
            killed += 1
        await feeding
    await eventually(lambda: _reached(store, len(oracle.rows)), "all results are there", within=40)
    assert await results(store) == oracle.rows
    print(f"{killed} runners killed, {len(oracle.rows)} results, none lost, none twice, none different")
    await eventually(lambda: _present(api, runners), "one calculates, the other stands by", within=20)
    answer = await api.client.get("/api/v2/values?device_id=v")
    assert {row["item_id"]: row["value"] for row in answer} == {row[0]: row[2] for row in oracle.rows[-3:]}


async def _present(api, runners):
    """Whether these are the runners, and one of them has all partitions."""
    (row,) = await api.client.get("/api/v2/plugins")
    found = {one["pid"]: len(one["partitions"]) for one in row["runners"]}
    return found.keys() == {one.pid for one in runners} and sorted(found.values()) == [0, 16]


async def _reached(store, count):
    return len(await results(store)) >= count


async def test_the_demo_plant_calculates(rig):
    api = await rig.api("--demo", "--plugins", "formula")
    items = {formula["item_id"] for formula in FORMULA_MODEL["formulas"]}

    async def values():
        rows = await api.client.get("/api/v2/values?device_id=calculated")
        return {row["item_id"]: row["value"] for row in rows if row["quality"] == "good"}

    async def all_there():
        return (await values()).keys() == items

    await eventually(all_there, "every formula has a good value", within=20)
    found = await values()
    assert 0.9 < found["power_factor"] <= 1
    assert found["pumps_on"] in {1, 2}

    async def counts():
        (row,) = await api.client.get("/api/v2/plugins")
        (status,) = [one["status"] for one in row["runners"]]
        return status["formulas"], status["refused"], status["without_value"]

    async def told():
        return await counts() == (len(items), 0, 0)

    await eventually(told, "the runner says so")
    assert "TryLater" not in api.log
