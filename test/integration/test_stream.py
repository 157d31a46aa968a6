"""The data stream: read by plugins and by outside readers; what is trimmed unread is counted."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.model import DeviceBatch
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.ingest import Writer
from pydatacoll.store.overview import look
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.stream import StreamReader, decode_payload, trim

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


class Outside:
    """A reader of another kind: a consumer group as any program may have one."""

    def __init__(self, store: Store, group: str) -> None:
        self.store, self.group = store, group

    async def read(self, count=10):
        reply = await self.store.binary.xreadgroup(self.group, "c", {keys.stream(PARTITION): ">"}, count=count)
        return [
            (entry_id, decode_payload(fields[b"b"]))
            for chunks in reply.values()
            for chunk in chunks
            for entry_id, fields in chunk
        ]

    async def ack(self, entries):
        if entries:
            await self.store.redis.xack(keys.stream(PARTITION), self.group, *(entry_id for entry_id, _ in entries))

    async def dropped(self):
        return (await look(self.store)).groups[self.group].dropped


@pytest.fixture
def reader(engine_store):
    async def make(group="demo"):
        await engine_store.redis.xgroup_create(keys.stream(PARTITION), group, "$", mkstream=True)
        return Outside(engine_store, group)

    return make


def values(entries):
    return [sample.value for _, batches in entries for batch in batches for _, sample in batch.samples()]


async def test_entries_are_read_after_a_place_in_each_partition(engine_store, put):
    await put(1, 2)
    await put(3)
    await put(4, device="other")
    stream = StreamReader(engine_store)
    try:
        after = {PARTITION: "0-0", keys.partition_of("other"): "0-0"}
        found = await stream.read(after, count=10, block=0)
        assert [values([(one.id, decode_payload(one.payload))]) for one in found[PARTITION]] == [[1, 2], [3]]
        assert [one.samples for one in found[PARTITION]] == [2, 1]
        assert len(found[keys.partition_of("other")]) == 1
        (first,) = (await stream.read({PARTITION: "0-0"}, count=1, block=0))[PARTITION]
        rest = await stream.read({PARTITION: first.id}, count=10, block=0)
        assert rest[PARTITION] == found[PARTITION][1:]
        assert await stream.read({PARTITION: rest[PARTITION][0].id}, count=10, block=0) == {}
    finally:
        await stream.close()


async def test_a_read_waits_for_what_comes(engine_store, put):
    stream = StreamReader(engine_store)
    waiting = asyncio.get_running_loop().create_task(stream.read({PARTITION: "0-0"}, count=1, block=30.0))
    while not (await engine_store.redis.info("clients"))["blocked_clients"]:
        await asyncio.sleep(0)
    await put(5)
    (entry,) = (await waiting)[PARTITION]
    assert entry.samples == 1
    await stream.close()


async def test_a_cancelled_read_leaves_no_answer_behind(engine_store, put):
    stream = StreamReader(engine_store)
    waiting = asyncio.get_running_loop().create_task(stream.read({PARTITION: "0-0"}, count=1, block=30.0))
    while not (await engine_store.redis.info("clients"))["blocked_clients"]:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await put(1)
    last = (await stream.read({PARTITION: "0-0"}, count=1, block=0))[PARTITION][-1].id
    assert await stream.read({PARTITION: last}, count=1, block=0) == {}
    await stream.close()


async def test_how_far_an_outside_reader_is_behind(engine_store, put, reader):
    one = await reader()
    await put(1)
    await put(2)
    group = (await look(engine_store)).groups["demo"]
    assert (group.lag, group.pending) == (2, 0)
    assert group.oldest is not None
    entries = await one.read(count=1)
    group = (await look(engine_store)).groups["demo"]
    assert (group.lag, group.pending) == (1, 1)
    await one.ack(entries)
    await one.ack(await one.read())
    seen = await look(engine_store)
    assert seen.groups["demo"].behind(seen.time) == 0.0


async def test_trimming_waits_for_every_group(engine_store, put, reader):
    slow = await reader("slow")
    fast = await reader("fast")
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
    slow, fast = await reader("slow"), await reader("fast")
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
    while batches := await slow.read(count=100):
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
    assert (await look(engine_store)).groups["demo"].pending == 0
    assert await one.dropped() == 3


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
