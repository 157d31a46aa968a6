"""The data stream as a plugin sees it: at least once, and what was trimmed is reported."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.manager.plugin_host import PluginHost
from pydatacoll.model import DeviceBatch
from pydatacoll.sdk import Plugin
from pydatacoll.store import keys
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.stream import StreamReader, trim

DEVICE = "feeder"
PARTITION = keys.partition_of(DEVICE)


@pytest.fixture
async def put(engine_store):
    """Stores values of one point, one stream entry each call."""
    writer = Writer(engine_store, "w", stream_bytes=1_000_000)
    task = asyncio.get_running_loop().create_task(writer.run())

    async def put_values(*values, device=DEVICE):
        account = Account(read=len(values))
        fields = [f"t:i{n}" for n in range(len(values))]
        writer.put(Packet(keys.partition_of(device), device, account, fields, list(values), 1.0, 0, 0))
        await writer.flush()

    yield put_values
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def reader(engine_store):
    readers = []

    async def make(consumer="one", group="demo"):
        made = StreamReader(engine_store, group, consumer)
        await made.start()
        readers.append(made)
        return made

    yield make
    for made in readers:
        await made.close()


def values(batches):
    return [sample.value for batch in batches for _, sample in batch.samples()]


async def test_what_is_acknowledged_does_not_come_again(put, reader):
    one = await reader()
    await put(1, 2)
    batches = await one.read()
    assert values(batches) == [1, 2]
    await one.ack(batches)
    await put(3)
    assert values(await one.read()) == [3]


async def test_a_new_group_begins_now(put, reader):
    await put(1)
    one = await reader()
    await put(2)
    assert values(await one.read()) == [2]


async def test_starting_again_keeps_the_place(put, reader):
    first = await reader()
    await put(1)
    again = await reader()
    assert values(await again.read()) == [1]
    assert await first.read(block=0.01) == []


async def test_a_dead_consumers_entries_are_claimed(put, reader):
    dead, alive = await reader("dead"), await reader("alive")
    await put(1)
    taken = await dead.read()
    assert await alive.claim(60.0) == []
    (claimed,) = await alive.claim(0.0)
    assert (claimed.entry_id, claimed.partition, claimed.deliveries) == (taken[0].entry_id, PARTITION, 2)
    await alive.ack([claimed])
    assert (await alive.lag()).unacknowledged == 0


async def test_two_groups_each_get_everything(put, reader):
    one, two = await reader(group="one"), await reader(group="two")
    await put(1)
    assert values(await one.read()) == values(await two.read()) == [1]


async def test_a_cancelled_read_loses_nothing(put, reader):
    one = await reader()
    task = asyncio.get_running_loop().create_task(one.read(block=2.0))
    while not (one._blocking and one._blocking.connection_pool._in_use_connections):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await put(1)
    got = await one.read(block=0.01) or await one.claim(0.0)
    assert values(got) == [1]


async def test_lag_counts_what_waits(put, reader):
    one = await reader()
    await put(1)
    await put(2)
    assert (await one.lag()).undelivered == 2
    await one.read(count=1)
    lag = await one.lag()
    assert (lag.undelivered, lag.unacknowledged) == (1, 1)


async def test_trimming_waits_for_every_group(engine_store, put, reader):
    slow = await reader(group="slow")
    fast = await reader(group="fast")
    for n in range(5):
        await put(n)
    await fast.ack(await fast.read())
    batches = await slow.read(count=2)
    assert await trim(engine_store, PARTITION, 0.0, 4e9) == {}
    assert values(batches + await slow.read()) == [0, 1, 2, 3, 4]
    assert await slow.dropped() == 0
    await slow.ack(batches)
    await trim(engine_store, PARTITION, 0.0, 4e9)
    assert await engine_store.redis.xlen(keys.stream(PARTITION)) == 3


async def test_without_groups_entries_are_kept_for_the_retention(engine_store, put):
    await put(1)
    seconds, micros = await engine_store.redis.time()
    now = seconds + micros / 1e6
    await trim(engine_store, PARTITION, 60.0, now)
    assert await engine_store.redis.xlen(keys.stream(PARTITION)) == 1
    await trim(engine_store, PARTITION, 60.0, now + 61)
    assert await engine_store.redis.xlen(keys.stream(PARTITION)) == 0


async def test_what_is_trimmed_unread_is_counted_per_group(engine_store, reader):
    """The stream is full because a plugin sleeps: it loses the oldest, and is told exactly how much."""
    slow, fast = await reader(group="slow"), await reader(group="fast")
    writer = Writer(engine_store, "w", stream_bytes=1)  # as few entries as possible
    task = asyncio.get_running_loop().create_task(writer.run())
    account = Account()
    total = 300
    seen = []
    for n in range(total):
        account.read += 2
        writer.put(Packet(PARTITION, DEVICE, account, ["t:a", "t:b"], [n, n], 1.0, 0, 0))
        await writer.flush()
        batches = await fast.read()
        seen += values(batches)
        await fast.ack(batches)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(seen) == 2 * total
    assert await fast.dropped() == 0
    left = []
    while batches := await slow.read(count=100, block=0.01):
        left += values(batches)
    dropped = await slow.dropped()
    assert dropped > 0
    assert len(left) + dropped == 2 * total
    assert left[-1] == total - 1


async def test_pending_entries_that_are_trimmed_count_as_dropped(engine_store, put, reader):
    one = await reader()
    await put(1, 2)
    await one.read()
    await put(3)
    removed, report = await engine_store.fcall(
        "trim_stream", [keys.stream(PARTITION), keys.stream_dropped(PARTITION)], ["9999999999999-0", 10]
    )
    assert (removed, report) == (2, [b"demo", 3])
    assert (await one.lag()).unacknowledged == 0
    assert await one.dropped() == 3


async def test_dead_letters_keep_batch_and_error(engine_store, put, reader):
    one = await reader()
    await put(1)
    (batch,) = await one.read()
    await one.dead_letter(batch, "no such table")
    ((_, fields),) = await engine_store.binary.xrange(keys.dead_letter(PARTITION, "demo"))
    assert (fields[b"error"], fields[b"n"], fields[b"entry"]) == (b"no such table", b"1", batch.entry_id.encode())


class Example(Plugin):
    """Adds up; fails as told."""

    name = "example"

    def __init__(self, *, poison=None, failures=0):
        super().__init__(None, None)
        self.poison, self.failures = poison, failures
        self.seen: list[object] = []
        self.wanted = asyncio.Event()
        self.count = 0

    async def handle(self, batch):
        got = [sample.value for _, sample in batch.samples()]
        if self.failures:
            self.failures -= 1
            raise OSError("database away")
        if self.poison in got:
            raise ValueError("poison")
        self.seen += got
        if len(self.seen) >= self.count:
            self.wanted.set()

    async def got(self, count):
        self.count = count
        if len(self.seen) < count:
            self.wanted.clear()
            await self.wanted.wait()
        return self.seen


@pytest.fixture
async def host(reader):
    tasks = []

    async def make(plugin, consumer="one"):
        made = PluginHost(plugin, await reader(consumer, plugin.name), pause=0.001)
        tasks.append(asyncio.get_running_loop().create_task(made.run()))
        return made

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_plugin_gets_every_sample(put, host):
    plugin = Example()
    made = await host(plugin)
    for n in range(20):
        await put(n)
    assert await plugin.got(20) == list(range(20))
    assert made.stats.state == "running"


async def test_a_failing_plugin_gets_the_batch_again(put, host):
    plugin = Example(failures=2)
    made = await host(plugin)
    await put(1)
    assert await plugin.got(1) == [1]
    assert made.stats.retries == 2


async def test_the_poison_sample_alone_becomes_a_dead_letter(engine_store, put, host):
    plugin = Example(poison=3)
    made = await host(plugin)
    await put(1, 2, 3, 4, 5)
    assert await plugin.got(4) == [1, 2, 4, 5]
    while made.stats.dead_lettered == 0:
        await asyncio.sleep(0)
    assert await engine_store.redis.xlen(keys.dead_letter(PARTITION, "example")) == 1


async def test_two_runners_share_the_work(put, host):
    one, two = Example(), Example()
    await host(one, "one")
    await host(two, "two")
    for n in range(50):
        await put(n, device=f"d{n}")
    while len(one.seen) + len(two.seen) < 50:
        await asyncio.sleep(0)
    assert sorted(one.seen + two.seen) == list(range(50))


def test_a_batch_is_rows_and_columns():
    batch = DeviceBatch("d", ["t:a", "t:b"], [1.0, 2.0], [1, "x"], [0, 32])
    rows = list(batch.samples())
    assert [(str(point), sample.time, sample.value, sample.quality) for point, sample in rows] == [
        ("d:t:a", 1.0, 1, 0),
        ("d:t:b", 2.0, "x", 32),
    ]


async def test_a_group_that_has_read_nothing_keeps_everything(engine_store, reader, put):
    await reader()  # its stream is empty
    assert await trim(engine_store, PARTITION, 0.0, 1e10) == {}
    await put(1)
    assert await trim(engine_store, PARTITION, 0.0, 1e10) == {}
    assert await engine_store.redis.xlen(keys.stream(PARTITION)) == 1
