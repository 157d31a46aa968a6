"""Report by exception through the device manager: nothing held is lost, and a restart does not report all anew."""

from __future__ import annotations

import pytest

from pydatacoll.model import PointId, Quality
from pydatacoll.store import keys
from pydatacoll.store.commands import CommandRequest
from test.integration.test_manager import plc, system, until

__all__ = ["plc", "system"]

POINT = PointId("dev", "devt", "i0")


async def add(system, port, **rules):
    """A device polled all the time, with one point that has rules."""

    def load(tx):
        device = {"id": "dev", "name": "d", "protocol": "modbus_tcp", "port": port, "poll_interval": 0.02}
        tx.create("device", {**device, "timeout": 5, "retries": 0})
        tx.create("term", {"id": "devt", "name": "t", "device_id": "dev"})
        tx.create("item", {"id": "i0", "name": "i"})
        tx.create("term_item", {"term_id": "devt", "item_id": "i0", "protocol_code": "hr:0", **rules})

    await system.repository.transact(load)
    return await until(lambda: system.manager.runners.get("dev"))


async def held(system, plc, runner):
    """One value stored and another one held."""
    await system.wait_value(0)
    plc.holding()[0] = 5
    point = runner.points[0]
    await until(lambda: (known := runner.sink.known(point)) is not None and known.value == 5)
    assert await system.value() == 0
    assert runner.sink.account.held == 1


async def test_what_is_held_when_the_manager_stops_is_stored(system, plc):
    await system.start()
    runner = await add(system, plc.port, min_period=3600)
    await held(system, plc, runner)
    await system.manager._stop(["dev"])
    await system.manager.writer.flush()
    assert await system.value() == 5
    assert (runner.sink.account.pending, runner.sink.account.held) == (0, 0)
    assert runner.sink.account.balanced()


async def test_what_is_held_is_stored_when_the_device_is_disabled_or_the_period_removed(system, plc):
    await system.start()
    runner = await add(system, plc.port, min_period=3600)
    await held(system, plc, runner)
    await system.repository.transact(lambda tx: tx.merge("term_item", ("devt", "i0"), {"min_period": None}))
    await system.wait_value(5)
    await system.repository.transact(lambda tx: tx.merge("term_item", ("devt", "i0"), {"min_period": 3600}))
    await until(lambda: runner.points[0].item.min_period)
    plc.holding()[0] = 6
    await until(lambda: (known := runner.sink.known(runner.points[0])) is not None and known.value == 6)
    await system.repository.transact(lambda tx: tx.merge("device", "dev", {"enabled": False}))
    await system.wait_value(6)


async def test_a_deleted_device_with_something_held_leaves_nothing_behind(system, plc):
    await system.start()
    runner = await add(system, plc.port, min_period=3600)
    await held(system, plc, runner)
    await system.repository.transact(lambda tx: tx.delete("device", "dev"))
    partition = keys.partition_of("dev")

    async def clean():
        names = (keys.latest(partition, "dev"), keys.history(partition, "dev", "devt:i0"))
        return not system.manager.runners and not await system.store.redis.exists(*names)

    await until(clean)
    await system.manager.writer.flush()
    await until(clean)
    account = runner.sink.account
    assert account.balanced()
    assert account.pending == 0


async def test_a_lost_link_shows_the_value_that_was_held(system, plc):
    await system.start()
    runner = await add(system, plc.port, min_period=3600)
    await held(system, plc, runner)
    await plc.stop()

    async def lost():
        sample = await system.sample()
        return (sample.value, sample.quality) == (5, Quality.COMM_LOST)

    await until(lost)
    values = [sample.value for sample in await system.history.recent(POINT)]
    assert values == [0, 5, 5]


async def test_a_period_ends_by_itself(system, plc):
    await system.start()
    await add(system, plc.port, min_period=0.2)
    await system.wait_value(0)
    plc.holding()[0] = 5
    await system.wait_value(5)


async def test_a_silent_device_makes_its_points_stale(system, plc):
    await system.start()
    await add(system, plc.port, stale_after=0.2)
    await system.wait_value(0)
    await plc.stop()

    async def stale():
        sample = await system.sample()
        return (sample.value, sample.quality) == (0, Quality.COMM_LOST | Quality.STALE)

    await until(stale)
    assert system.manager.runners["dev"].detail()["stale_points"] == 1
    await plc.start()
    await system.wait_value(0)
    assert system.manager.runners["dev"].detail()["stale_points"] == 0


async def test_a_frozen_value_is_marked_until_it_changes(system, plc):
    await system.start()
    await add(system, plc.port, frozen_after=0.2)

    async def frozen():
        sample = await system.sample()
        return sample is not None and sample.quality == Quality.NOT_TOPICAL

    await until(frozen)
    plc.holding()[0] = 5
    await system.wait_value(5)


@pytest.mark.parametrize("rules", [{"deadband": 2}, {"deadband": 2, "max_silence": 3600}])
async def test_a_restart_does_not_report_anew_what_has_not_changed(system, plc, rules):
    await system.start()
    runner = await add(system, plc.port, **rules)
    await system.wait_value(0)
    plc.holding()[0] = 1
    await system.manager._stop(["dev"])
    await system.manager.writer.flush()
    await system.manager._reconcile(["dev"])
    again = system.manager.runners["dev"]
    assert again is not runner
    await until(lambda: again.sink.account.unchanged > 3)
    assert again.sink.account.stored == 0
    plc.holding()[0] = 3
    await system.wait_value(3)
    assert [sample.value for sample in await system.history.recent(POINT)] == [0, 3]


async def test_a_call_is_answered_and_stored_although_the_point_is_quiet(system, plc):
    await system.start()
    await add(system, plc.port, deadband=100, min_period=3600)
    await system.wait_value(0)
    plc.holding()[0] = 7
    (reply,) = await system.commands.execute("call", [CommandRequest(POINT)])
    assert (reply.status, reply.sample.value) == (200, 7)
    assert await system.value() == 7


async def test_many_held_values_do_not_slow_down_polling_without_pause(system, plc):
    await system.start()
    codes = [f"hr:{n}" for n in range(400)]
    await system.add(port=plc.port, points=codes, poll_interval=0)
    runner = await until(lambda: system.manager.runners.get("dev"))

    def hold(tx):
        for n in range(len(codes)):
            tx.merge("term_item", ("devt", f"i{n}"), {"min_period": 3600})

    await system.repository.transact(hold)
    await until(lambda: runner.sink.account.held == len(codes))
    unchanged = runner.sink.account.unchanged
    await until(lambda: runner.sink.account.unchanged > unchanged + 20 * len(codes))
    assert runner.sink.account.balanced()
