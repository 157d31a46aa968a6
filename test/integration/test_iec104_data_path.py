"""From simulated RTUs into a real store: nothing lost, nothing twice, and the past never hides the present."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import pytest

from pydatacoll.model import DeviceBatch, PointId, Quality
from pydatacoll.store import keys
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu
from test.integration.test_iec104_manager import Station
from test.integration.test_manager import until

FIRST, POINTS = 1000, 500


@pytest.fixture
async def system(redis_url, store):
    async with AsyncExitStack() as stack:
        made = Station(redis_url, stack)
        await made.start()
        yield made


@pytest.fixture
async def rtu():
    async with Iec104Rtu([Iec104Point(address=FIRST + n, value=float(n)) for n in range(POINTS)]) as station:
        yield station


async def stored(system, device="rtu"):
    """``(field, value, time)`` of everything in the stream, in order."""
    rows = await system.store.binary.xrange(keys.stream(keys.partition_of(device, system.store.partitions)))
    decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
    return [
        (point.item_id, sample.value, sample.time)
        for _, fields in rows
        for batch in decode(fields[b"b"])
        if batch.device_id == device
        for point, sample in batch.samples()
    ]


async def history(system, address=FIRST):
    samples = await system.history.recent(PointId("rtu", "rtut", f"i{address}"))
    return [sample.value for sample in samples]


def account(system):
    return system.runner().sink.account


async def test_at_full_rate_every_value_is_stored_once_and_in_order(system, rtu):
    await system.add_rtu(rtu.port, addresses=range(FIRST, FIRST + POINTS))
    await system.good(POINTS - 1.0, FIRST + POINTS - 1)
    await until(lambda: account(system).pending == 0)
    before = account(system).stored
    stream = rtu.stream(math.inf)
    await until(lambda: stream.sent > 20_000)
    rtu.stream(0)
    repeated = system.runner().counters
    await until(lambda: account(system).stored + repeated["repeated_values"] == before + stream.sent)
    assert account(system).balanced()
    assert (account(system).dropped, account(system).rejected, repeated["late_values"]) == (0, 0, 0)
    for address in range(FIRST, FIRST + POINTS, 50):
        assert await system.value(f"i{address}", "rtu") == rtu.value(1, address)
    rows = await stored(system)
    assert len(rows) == account(system).stored
    times: dict[str, float] = {}
    for item, _, at in rows[-10_000:]:
        assert at >= times.get(item, 0.0)
        times[item] = at


async def test_events_kept_while_the_link_was_away_go_into_the_history_and_the_newest_is_shown(system, rtu):
    await system.add_rtu(rtu.port, addresses=[FIRST])
    await system.good(0.0, FIRST)
    await rtu.stop()
    await until(lambda: system.runner().link.state != "connected")
    now = time.time()
    for number in range(50):
        rtu.set(1, FIRST, 1.0 + number, time=now + number / 1000)
    await rtu.start()
    await system.good(50.0, FIRST)
    await until(lambda: rtu.counts["100"] == 2 and not rtu.pending and account(system).pending == 0)
    values = Counter(value for _, value, _ in await stored(system))
    assert all(values[1.0 + number] == 1 for number in range(49))


async def test_a_late_event_is_history_and_does_not_hide_the_newer_answer(system, rtu):
    await system.add_rtu(rtu.port, addresses=[FIRST, FIRST + 1], clock_sync=False)
    await system.good(1.0, FIRST + 1)
    old = time.time() - 60
    rtu.set(1, FIRST, 5.0, time=old)
    rtu.set(1, FIRST, 6.0, time=old + 1)
    rtu.set(1, FIRST + 1, 7.0)
    await system.good(7.0, FIRST + 1)
    await until(lambda: account(system).pending == 0)
    sample = await system.sample(f"i{FIRST}", "rtu")
    assert (sample.value, sample.quality) == (0.0, 0)
    assert await history(system) == [5.0, 6.0, 0.0]
    found = [await system.history.at(PointId("rtu", "rtut", f"i{FIRST}"), index) for index in (0, -1)]
    assert [one.value for one in found] == [5.0, 0.0]
    assert [value for item, value, _ in await stored(system) if item == f"i{FIRST}"] == [0.0, 5.0, 6.0]
    assert system.runner().counters["late_values"] == 2


async def test_after_a_lost_link_a_value_that_stayed_the_same_is_good_again(system, rtu):
    await system.add_rtu(rtu.port, addresses=[FIRST])
    rtu.set(1, FIRST, 5.0)
    await system.good(5.0, FIRST)
    await rtu.stop()

    async def lost():
        return (await system.sample(f"i{FIRST}", "rtu")).quality == Quality.COMM_LOST

    await until(lost)
    await rtu.start()
    await system.good(5.0, FIRST)


async def test_addresses_without_a_point_do_not_slow_down_or_flood_and_are_listed(system, rtu):
    await system.add_rtu(rtu.port, addresses=[FIRST])
    await system.good(0.0, FIRST)
    stream = rtu.stream(math.inf)
    await until(lambda: stream.sent > 20_000)
    rtu.stream(0)
    rtu.set(1, FIRST, -1.0)
    await system.good(-1.0, FIRST)
    (report,) = [runner.detail() for runner in system.manager.runners.values()]
    assert report["counters"]["unconfigured_values"] > 19_000
    assert account(system).read < 2 * stream.sent / POINTS + 10
    found = system.runner()._driver.discovered()
    assert [one.protocol_code for one in found] == [str(address) for address in range(FIRST + 1, FIRST + POINTS)]
    assert {one.code_type for one in found} == {"M_ME_TF_1"}
