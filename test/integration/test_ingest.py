"""The write path against real servers: nothing lost, nothing twice, everything counted."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from pydatacoll.model import DeviceBatch, PointId, Sample
from pydatacoll.store import ingest, keys
from pydatacoll.store.client import Store
from pydatacoll.store.history import History
from pydatacoll.store.ingest import Writer
from pydatacoll.store.leases import Leases
from pydatacoll.store.packets import Account, Packet
from test.integration.proxy import Proxy

DEVICE = "feeder"
PARTITION = keys.partition_of(DEVICE)


def packet(account, values, *, fields=None, time=100.0, quality=0, length=10, device=DEVICE):
    fields = fields or [f"t:i{n}" for n in range(len(values))]
    account.read += len(values)
    return Packet(keys.partition_of(device), device, account, fields, list(values), time, quality, length)


@pytest.fixture
async def running():
    """Starts writers and stops them after the test."""
    tasks = []

    def start(writer: Writer) -> Writer:
        tasks.append(asyncio.get_running_loop().create_task(writer.run()))
        return writer

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def entries(store: Store, partition: int = PARTITION) -> list[DeviceBatch]:
    decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
    rows = await store.binary.xrange(keys.stream(partition))
    return [batch for _, fields in rows for batch in decode(fields[b"b"])]


async def test_a_batch_is_latest_history_and_stream(engine_store, running):
    store = engine_store
    writer = running(Writer(store, "w"))
    account = Account()
    writer.put(packet(account, [1, 2.5, True, "on", None], quality=0))
    await writer.flush()
    history = History(store)
    latest = await history.latest([PointId(DEVICE, "t", f"i{n}") for n in range(6)])
    assert [sample and sample.value for sample in latest] == [1, 2.5, True, "on", None, None]
    assert latest[5] is None
    assert (await history.recent(PointId(DEVICE, "t", "i1")))[0].value == 2.5
    (batch,) = await entries(store)
    assert [sample.value for _, sample in batch.samples()] == [1, 2.5, True, "on", None]
    assert account == Account(read=5, stored=5)


async def test_two_samples_of_one_item_in_one_batch_both_survive(engine_store, running):
    writer = running(Writer(engine_store, "w"))
    account = Account()
    writer.put(packet(account, [1, 2], fields=["t:a", "t:a"], time=[100.0, 100.1], quality=[0, 0]))
    await writer.flush()
    history = History(engine_store)
    point = PointId(DEVICE, "t", "a")
    assert [(s.time, s.value) for s in await history.recent(point)] == [(100.0, 1), (100.1, 2)]
    assert (await history.latest([point]))[0].value == 2
    assert len((await entries(engine_store))[0]) == 2


async def test_large_integers_and_small_floats_keep_every_digit(engine_store, running):
    values = [2**63 - 1, -(2**63), 2**64 - 1, 0.1, 5e-324, 1.7976931348623157e308]
    writer = running(Writer(engine_store, "w"))
    writer.put(packet(Account(), values))
    await writer.flush()
    latest = await History(engine_store).latest([PointId(DEVICE, "t", f"i{n}") for n in range(6)])
    assert [sample.value for sample in latest] == values
    assert (await entries(engine_store))[0].values == values


async def test_history_is_bounded_per_item(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    for n in range(100):
        writer.put(packet(account, [n, n, n], length=[10, 0, 3], time=float(n)))
        await writer.flush()
    history = History(store)
    first = [s.value for s in await history.recent(PointId(DEVICE, "t", "i0"))]
    assert first == list(range(100 - len(first), 100))
    assert 10 <= len(first) <= 26
    assert await history.recent(PointId(DEVICE, "t", "i1")) == []
    assert 3 <= len(await history.recent(PointId(DEVICE, "t", "i2"))) <= 19


async def test_more_than_a_thousand_samples_are_split(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    writer.put(packet(account, list(range(2500))))
    await writer.flush()
    assert account == Account(read=2500, stored=2500)
    assert await store.redis.hlen(keys.latest(PARTITION, DEVICE)) == 2500


async def test_a_batch_sent_twice_is_stored_once(redis_url, store, running):
    """The answer is lost after the store has done the work: the repetition must change nothing."""
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        try:
            writer = running(Writer(behind, "w"))
            account = Account()
            writer.put(packet(account, [1]))
            await writer.flush()
            proxy.swallow = True
            writer.put(packet(account, [2]))
            await proxy.swallowed.wait()
            proxy.swallow = False
            proxy.cut()
            await writer.flush()
            assert account == Account(read=2, stored=2)
            assert writer.stats.repeated == 1
            assert [s.value for s in await History(store).recent(PointId(DEVICE, "t", "i0"))] == [1, 2]
            assert len(await entries(store)) == 2
        finally:
            await behind.close()


async def test_while_the_store_is_away_samples_wait_and_the_oldest_are_dropped(redis_url, store, running):
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        try:
            proxy.refuse = True
            writer = running(Writer(behind, "w", buffer=10))
            account = Account()
            for n in range(30):
                writer.put(packet(account, [n], time=float(n)))
            assert account.balanced()
            assert (account.pending, account.dropped) == (10, 20)
            proxy.refuse = False
            await writer.flush()
            assert account == Account(read=30, stored=10, dropped=20)
            stored = [s.value for s in await History(store).recent(PointId(DEVICE, "t", "i0"))]
            assert stored == list(range(20, 30))
        finally:
            await behind.close()


async def test_out_of_memory_is_a_refusal_that_passes(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    await store.redis.config_set("maxmemory", 1)
    writer.put(packet(account, [1]))
    while writer.error is None:
        await asyncio.sleep(0)
    assert "refuses" in writer.error
    assert account == Account(read=1, pending=1)
    await store.redis.config_set("maxmemory", 0)
    await writer.flush()
    assert account == Account(read=1, stored=1)
    assert len(await entries(store)) == 1


async def test_functions_are_loaded_again_when_the_store_was_emptied(store, running):
    writer = running(Writer(store, "w"))
    await store.redis.function_flush()
    account = Account()
    writer.put(packet(account, [1]))
    await writer.flush()
    assert account == Account(read=1, stored=1)


async def test_who_does_not_own_the_partition_cannot_write(store, running):
    lost = []
    writer = running(Writer(store, "w", owner="a", on_lost=lost.append))
    await store.redis.set(keys.lease(PARTITION), "b")
    account = Account()
    writer.put(packet(account, [1]))
    await writer.flush()
    assert account == Account(read=1, rejected=1)
    assert lost == [PARTITION]
    assert await entries(store) == []


async def test_a_lease_that_ran_out_is_taken_back_by_what_was_kept(engine_store, running):
    """The store was away for longer than the lease, and nobody else could take it meanwhile."""
    writer = running(Writer(engine_store, "w", owner="a", lease=5.0))
    account = Account()
    writer.put(packet(account, [1]))
    await writer.flush()
    assert account == Account(read=1, stored=1)
    assert await engine_store.redis.get(keys.lease(PARTITION)) == "a"
    assert 0 < await engine_store.redis.pttl(keys.lease(PARTITION)) <= 5000


async def test_a_lease_that_another_held_meanwhile_is_not_taken_back(engine_store, running):
    mine, other = Leases(engine_store, "a", 5.0), Leases(engine_store, "b", 5.0)
    writer = running(Writer(engine_store, "w", owner="a", lease=5.0))
    account = Account()
    assert await mine.take(PARTITION)
    assert await mine.renew(PARTITION)
    await engine_store.redis.delete(keys.lease(PARTITION))  # it ran out
    assert await mine.renew(PARTITION)
    await engine_store.redis.delete(keys.lease(PARTITION))
    assert await other.take(PARTITION)
    for free in (lambda: engine_store.redis.delete(keys.lease(PARTITION)), lambda: other.give_back(PARTITION)):
        await free()
        assert not await mine.renew(PARTITION)
        writer.put(packet(account, [1]))
        await writer.flush()
    assert account == Account(read=2, rejected=2)
    assert await mine.take(PARTITION)  # anew
    writer.put(packet(account, [1]))
    await writer.flush()
    assert account == Account(read=3, rejected=2, stored=1)
    await mine.give_back(PARTITION)
    writer.put(packet(account, [1]))
    await writer.flush()
    assert account.rejected == 3


async def test_publishing_costs_nothing_and_reaches_who_listens(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    writer.put(packet(account, [1]))
    await writer.flush()
    assert writer.stats.published == 0
    async with store.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.data_channel(f"{DEVICE}:t:i0"))
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        writer.put(packet(account, [2]))
        message = await pubsub.get_message(timeout=5)
    assert json.loads(message["data"]) == {
        "device_id": DEVICE,
        "term_id": "t",
        "item_id": "i0",
        "time": "1970-01-01T00:01:40.000000Z",
        "value": 2,
        "quality": "good",
    }


async def test_for_a_listener_to_another_device_nothing_is_published(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    async with store.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.data_channel("pump:t:i0"))
        assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
        writer.put(packet(account, [1]))
        await writer.flush()
        assert writer.stats.published == 0
        writer.put(packet(account, [2], device="pump"))
        writer.put(packet(account, [3]))
        message = await pubsub.get_message(timeout=5)
    assert json.loads(message["data"])["value"] == 2


async def test_a_pattern_listener_hears_all(store, running):
    writer = running(Writer(store, "w"))
    async with store.redis.pubsub() as pubsub:
        await pubsub.psubscribe("CHANNEL:DEVICE_DATA:*")
        await pubsub.get_message(timeout=5)
        writer.put(packet(Account(), [1, 2]))
        channels = [(await pubsub.get_message(timeout=5))["channel"] for _ in range(2)]
    assert channels == [keys.data_channel(f"{DEVICE}:t:i{n}") for n in range(2)]


async def test_discarded_samples_of_a_deleted_point_are_counted_as_dropped(store):
    writer = Writer(store, "w")  # not running: everything stays queued
    account, other = Account(), Account()
    writer.put(packet(account, [1, 2]))
    writer.put(packet(other, [1], device="pump"))
    writer.discard(DEVICE)
    assert account == Account(read=2, dropped=2)
    assert other == Account(read=1, pending=1)


async def test_many_devices_in_many_partitions_keep_their_order(store, running):
    writer = running(Writer(store, "w"))
    accounts = {f"d{n}": Account() for n in range(40)}
    for step in range(50):
        for device, account in accounts.items():
            writer.put(packet(account, [step], device=device, length=100, time=float(step)))
    await writer.flush()
    history = History(store)
    for device, account in accounts.items():
        assert account == Account(read=50, stored=50)
        samples = await history.recent(PointId(device, "t", "i0"))
        assert [sample.value for sample in samples] == list(range(50))


async def test_a_command_holds_up_writing_only_for_a_moment(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    with writer.hold():  # it goes on for as long as its device takes
        writer.put(packet(account, [1]))
        await writer.flush()
    assert account == Account(read=1, stored=1)


async def test_who_waits_for_a_sample_ends_the_hold(store, running):
    writer = running(Writer(store, "w"))
    account = Account()
    with writer.hold():
        writer.put(packet(account, [1]))
        await writer.barrier()
    assert account == Account(read=1, stored=1)


async def test_several_readings_of_a_plan_in_one_call_keep_their_order(engine_store, running):
    """They wait while the store is away, and are then written by one command per point."""
    writer = Writer(engine_store, "w")
    account = Account()
    fields = ["t:a", "t:b"]
    for step in range(5):
        made = packet(account, [step, step * 10], fields=fields, time=float(step), length=100)
        made.mergeable = True
        writer.put(made)
        if step == 2:
            writer.put(packet(account, [-1], fields=["t:a"], time=2.5, length=100))
    running(writer)
    await writer.flush()
    assert writer.stats.calls == 1
    assert account == Account(read=11, stored=11)
    history = History(engine_store)
    a, b = PointId(DEVICE, "t", "a"), PointId(DEVICE, "t", "b")
    assert [s.value for s in await history.recent(a)] == [0, 1, 2, -1, 3, 4]
    assert [(s.time, s.value) for s in await history.recent(b)] == [(float(n), n * 10) for n in range(5)]
    assert [s.value for s in await history.latest([a, b])] == [4, 40]
    streamed = [s.value for batch in await entries(engine_store) for p, s in batch.samples() if p == a]
    assert streamed == [0, 1, 2, -1, 3, 4]


async def test_merged_readings_keep_to_each_points_own_history_length(store, running):
    writer = Writer(store, "w")
    fields = ["t:a", "t:b"]
    for step in range(40):
        made = packet(Account(), [step, step], fields=fields, time=float(step), length=[5, 0])
        made.mergeable = True
        writer.put(made)
    running(writer)
    await writer.flush()
    history = History(store)
    assert [s.value for s in await history.recent(PointId(DEVICE, "t", "a"))] == [35, 36, 37, 38, 39]
    assert await history.recent(PointId(DEVICE, "t", "b")) == []


async def test_small_batches_gather_for_a_moment(store, running, monkeypatch):
    monkeypatch.setattr(ingest, "GAP", 0.5)
    writer = running(Writer(store, "w"))
    account = Account()
    writer.put(packet(account, [1]))
    await writer.flush()
    for value in (2, 3):
        writer.put(packet(account, [value]))
        for _ in range(20):  # without the moment the call would be under way now
            await asyncio.sleep(0)
    await writer.flush()
    assert (writer.stats.calls, account.stored) == (2, 3)
    assert [s.value for s in await History(store).recent(PointId(DEVICE, "t", "i0"))] == [1, 2, 3]


async def test_large_batches_and_the_first_after_a_rest_do_not_wait(store, running, monkeypatch):
    monkeypatch.setattr(ingest, "GAP", 1e6)
    writer = running(Writer(store, "w"))
    account = Account()
    for count in (1, ingest.ENOUGH, 1000):
        writer.put(packet(account, range(count)))
        await writer.flush()
    assert (writer.stats.calls, account.stored) == (3, 1051)


async def test_late_samples_go_into_history_and_stream_and_change_nothing_that_is_shown(engine_store, running):
    writer = running(Writer(engine_store, "w"))
    account = Account()
    writer.put(packet(account, [5], time=200.0))
    late = packet(account, [3], time=150.0)
    late.late = True
    writer.put(late)
    writer.put(packet(account, [4], fields=["t:i1"], time=151.0))
    await writer.flush()
    history = History(engine_store)
    assert await history.latest([PointId(DEVICE, "t", "i0")]) == [Sample(200.0, 5, 0)]
    assert {s.time for s in await history.recent(PointId(DEVICE, "t", "i0"))} == {150.0, 200.0}
    stored = [sample.value for batch in await entries(engine_store) for _, sample in batch.samples()]
    assert stored == [5, 3, 4]
    assert account == Account(read=3, stored=3)


async def test_owners_and_devices_of_any_name_arrive_whole(store, running):
    device = "d-1_a.b"
    writer = running(Writer(store, "wri ter\r\n$5"))
    account = Account()
    writer.put(packet(account, ["\r\n*1\r\n", "ü"], device=device))
    await writer.flush()
    latest = await History(store).latest([PointId(device, "t", f"i{n}") for n in range(2)])
    assert [sample.value for sample in latest] == ["\r\n*1\r\n", "ü"]


async def test_late_samples_take_their_places_in_the_history(engine_store, running):
    writer = running(Writer(engine_store, "w"))
    account = Account()

    def put(times: list[float], *, late: bool = False) -> None:
        one = packet(account, times, fields=["t:i0"] * len(times), time=times)
        one.late = late
        writer.put(one)

    put([100.0 + n for n in range(0, 60, 2)])
    put([131.0, 157.0, 99.0, 103.0, 158.0, 200.0, 103.0, 104.0], late=True)
    await writer.flush()
    history = History(engine_store)
    point = PointId(DEVICE, "t", "i0")
    stored = [float(text.split(",")[0]) for text in await engine_store.redis.lrange(history._list(point), 0, -1)]
    assert stored == sorted(stored)
    kept = len(stored)
    everything = sorted([100.0 + n for n in range(0, 60, 2)] + [131.0, 157.0, 103.0, 158.0, 200.0, 103.0, 104.0])
    assert stored == everything[-kept:]
    assert [s.time for s in await history.recent(point, limit=3)] == [158.0, 158.0, 200.0]
    assert (await history.at(point, -1)).time == 200.0


async def test_late_samples_older_than_all_that_is_kept_do_not_push_it_out(engine_store, running):
    writer = running(Writer(engine_store, "w"))
    account = Account()
    writer.put(packet(account, range(10), fields=["t:i0"] * 10, time=[100.0 + n for n in range(10)]))
    late = packet(account, range(50), fields=["t:i0"] * 50, time=[float(n) for n in range(50)])
    late.late = True
    writer.put(late)
    fresh = packet(account, [1, 2], fields=["t:new", "t:new"], time=[7.0, 6.0])
    fresh.late = True
    writer.put(fresh)
    await writer.flush()
    history = History(engine_store)
    assert [s.time for s in await history.recent(PointId(DEVICE, "t", "i0"))] == [100.0 + n for n in range(10)]
    assert [s.time for s in await history.recent(PointId(DEVICE, "t", "new"))] == [6.0, 7.0]
    assert account.stored == 62


async def test_the_history_is_read_in_the_order_of_time(store, running):
    """The clock of a device was set back, and it does not know of it."""
    writer = running(Writer(store, "w"))
    account = Account()
    for time in (100.0, 300.0, 200.0, 250.0):
        writer.put(packet(account, [time], time=time))
    await writer.flush()
    history = History(store)
    point = PointId(DEVICE, "t", "i0")
    assert [s.time for s in await history.recent(point)] == [100.0, 200.0, 250.0, 300.0]
    found = [await history.at(point, index) for index in (0, 3, -1, -4, 4, -5)]
    assert [one and one.time for one in found] == [100.0, 300.0, 300.0, 100.0, None, None]


async def test_who_is_behind_and_when_all_are(store):
    writer = Writer(store, "w", buffer=4 * ingest.LISTEN_AHEAD)  # it does not run: nothing is stored
    slow, other, idle = Account(), Account(), Account()
    writer.put(packet(slow, range(ingest.LISTEN_AHEAD)))
    writer.put(packet(other, [1]))
    assert not writer.behind(slow)
    writer.put(packet(slow, [1]))
    assert writer.behind(slow)
    assert not writer.behind(other)
    writer.put(packet(slow, range(ingest.LISTEN_AHEAD)))  # half of the buffer is full
    assert writer.behind(other)
    assert not writer.behind(idle)
