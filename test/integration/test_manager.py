"""The device manager on a real store and simulated Modbus devices: the whole chain without HTTP."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict

import msgspec
import pytest

from pydatacoll.discovery import discover_protocols
from pydatacoll.manager.manager import DeviceManager
from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.model import PointId, Quality
from pydatacoll.model.validation import Schemas
from pydatacoll.settings import ManagerSettings, Settings
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.commands import CommandClient, CommandRequest
from pydatacoll.store.history import History
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader
from pydatacoll.testing.modbus_server import ModbusServer

SETTINGS = Settings(manager=ManagerSettings(lease=5.0, backoff_min=0.02, backoff_max=0.05))
"""A lease longer than this process ever stands still."""
QUICK = Settings(manager=ManagerSettings(lease=1.5, backoff_min=0.02, backoff_max=0.05))
DRIVERS = discover_protocols([]).found


async def until(condition):
    """Wait for a condition that may be a coroutine function; the test's own time-out is the limit."""
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.005)


class System:
    """A model, managers and a simulated device."""

    def __init__(self, url, stack):
        self.url, self.stack = url, stack

    async def process(self, settings=SETTINGS):
        """What one manager process has: its own connections and copy of the model."""
        store = await Store.open(self.url)
        self.stack.push_async_callback(store.close)
        repository = Repository(store, Schemas(DRIVERS))
        await repository.start()
        self.stack.push_async_callback(repository.stop)
        return DeviceManager(store, repository, DRIVERS, settings)

    async def start(self, settings=SETTINGS):
        self.manager = await self.process(settings)
        await self.stack.enter_async_context(self.manager)
        store = self.manager._store
        self.store, self.repository = store, self.manager._repository
        self.history, self.status = History(store), StatusReader(store)
        await until(lambda: len(self.manager._ownership.owned) == store.partitions)
        self.commands = CommandClient(store, timeout=5.0)
        task = asyncio.get_running_loop().create_task(self.commands.run())

        async def stop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(stop)

    async def add(self, device="dev", port=1, points=("hr:0",), **options):
        options = {"poll_interval": 0.02, "timeout": 5} | options

        def load(tx):
            tx.create("device", {"id": device, "name": device, "protocol": "modbus_tcp", "port": port, **options})
            tx.create("term", {"id": f"{device}t", "name": "t", "device_id": device})
            for n, code in enumerate(points):
                tx.upsert("item", {"id": f"i{n}", "name": "i"})
                tx.create(
                    "term_item",
                    {"term_id": f"{device}t", "item_id": f"i{n}", "protocol_code": code, "writable": True},
                )

        await self.repository.transact(load)

    async def sample(self, item="i0", device="dev"):
        return (await self.history.latest([PointId(device, f"{device}t", item)]))[0]

    async def value(self, item="i0", device="dev"):
        sample = await self.sample(item, device)
        return None if sample is None or sample.quality else sample.value

    async def wait_value(self, value, item="i0", device="dev"):
        async def has():
            return await self.value(item, device) == value

        await until(has)

    async def link(self, device="dev"):
        return (await self.status.links([device]))[0]


@pytest.fixture
async def system(redis_url, store):
    async with AsyncExitStack() as stack:
        yield System(redis_url, stack)


@pytest.fixture
async def plc():
    async with ModbusServer() as server:
        yield server


async def test_a_new_device_is_polled_and_a_changed_register_arrives(system, plc):
    await system.start()
    plc.holding()[0] = 41
    await system.add(port=plc.port)
    await system.wait_value(41)
    plc.holding()[0] = 42
    await system.wait_value(42)

    async def connected():
        return (await system.link()).state == "connected"

    await until(connected)


async def test_call_reads_now_and_ctrl_writes_now(system, plc):
    await system.start()
    await system.add(port=plc.port, poll_interval=3600, points=("hr:0", "hr:1"))
    await until(lambda: plc.requests)
    plc.holding()[0] = 7
    point = PointId("dev", "devt", "i0")
    (reply,) = await system.commands.execute("call", [CommandRequest(point)])
    assert (reply.status, reply.sample.value) == (200, 7)
    (reply,) = await system.commands.execute("ctrl", [CommandRequest(point, 9, verify=True)])
    assert (reply.status, reply.sample.value) == (200, 9)
    assert plc.holding()[0] == 9
    assert await system.value() == 9


async def test_an_unreachable_device_answers_503(system, plc):
    await system.start()
    port = plc.port
    await plc.stop()
    await system.add(port=port)
    await until(lambda: "dev" in system.manager.runners)
    (reply,) = await system.commands.execute("ctrl", [CommandRequest(PointId("dev", "devt", "i0"), 1)])
    assert (reply.status, reply.title) == (503, "Device offline")


async def test_a_lost_device_marks_its_points_and_recovers(system, plc):
    await system.start()
    plc.holding()[0] = 5
    await system.add(port=plc.port)
    await system.wait_value(5)
    await plc.stop()

    async def lost():
        sample = await system.sample()
        return sample.quality == Quality.COMM_LOST and sample.value == 5

    await until(lost)

    async def told():
        link = await system.link()
        return link.state in {"backoff", "connecting"} and link.last_error

    await until(told)
    counters = system.manager.runners["dev"].counters
    await until(lambda: counters["failed_connects"] > 0)  # an error by its kind, as users see it


async def test_devices_that_are_lost_at_once_are_marked_one_at_a_time(system, plc, monkeypatch):
    """All of them in one turn of the loop would keep everything else waiting."""
    await system.start()
    for n in range(20):
        await system.add(f"d{n}", port=plc.port, poll_interval=3600)
    await until(lambda: plc.connections == 20)
    loop = asyncio.get_running_loop()
    original, marked, most, this_turn = DeviceSink.all_failed, [], 0, 0

    def end_of_turn():
        nonlocal this_turn
        this_turn = 0

    def all_failed(sink, points, quality):
        nonlocal most, this_turn
        marked.append(sink.device_id)
        this_turn += 1
        most = max(most, this_turn)
        loop.call_soon(end_of_turn)
        original(sink, points, quality)

    monkeypatch.setattr(DeviceSink, "all_failed", all_failed)
    plc.drop()
    await until(lambda: len(set(marked)) == 20)
    assert most == 1


async def test_points_change_without_dropping_the_connection(system, plc):
    await system.start()
    plc.holding()[0:10] = list(range(10))
    await system.add(port=plc.port)
    await system.wait_value(0)
    connects = system.manager.runners["dev"].counters["connects"]

    def change(tx):
        tx.create("item", {"id": "new", "name": "new"})
        tx.create("term_item", {"term_id": "devt", "item_id": "new", "protocol_code": "hr:8"})
        tx.merge("term_item", ("devt", "i0"), {"protocol_code": "hr:3"})

    await system.repository.transact(change)
    await system.wait_value(8, "new")
    await system.wait_value(3)
    assert system.manager.runners["dev"].counters["connects"] == connects
    assert plc.connections == 1


async def test_a_deleted_point_leaves_nothing_behind(system, plc):
    await system.start()
    await system.add(port=plc.port, points=("hr:0", "hr:1"), poll_interval=0)
    await system.wait_value(0, "i1")
    await system.repository.transact(lambda tx: tx.delete("term_item", ("devt", "i1")))
    partition = keys.partition_of("dev")

    async def clean():
        left = await system.store.redis.hkeys(keys.latest(partition, "dev"))
        lists = await system.store.redis.exists(keys.history(partition, "dev", "devt:i1"))
        return left == ["devt:i0"] and not lists

    await until(clean)
    polls = system.manager.runners["dev"].counters["polls"]
    await until(lambda: system.manager.runners["dev"].counters["polls"] > polls + 20)
    assert await clean()


async def test_a_deleted_device_leaves_nothing_behind(system, plc):
    await system.start()
    await system.add(port=plc.port, points=("hr:0", "hr:1"), poll_interval=0)
    await system.wait_value(0, "i1")
    await system.repository.transact(lambda tx: tx.delete("device", "dev"))

    async def left():
        names = await system.store.redis.keys("*")
        return [name for name in names if "dev" in name and not name.startswith(("STREAM", "WRITER", "LEASE"))]

    async def clean():
        return not await left() and not system.manager.runners and not system.manager._garbage

    await until(clean)
    await until(lambda: plc.connections == 0)


async def test_disabling_and_enabling(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    await system.repository.transact(lambda tx: tx.merge("device", "dev", {"enabled": False}))

    async def disabled():
        return (await system.link()).state == "disabled"

    await until(disabled)
    await until(lambda: plc.connections == 0)
    await system.repository.transact(lambda tx: tx.merge("device", "dev", {"enabled": True}))
    await until(lambda: plc.connections == 1)


async def test_the_last_account_of_a_disabled_device_has_all_that_was_read(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    account = system.manager.runners["dev"].sink.account
    await system.repository.transact(lambda tx: tx.merge("device", "dev", {"enabled": False}))

    async def told():
        detail = await StatusReader(system.store).device("dev")
        return detail.get("accounting") == asdict(account) and not system.manager._ended

    await until(lambda: not system.manager.runners)
    await until(told)
    assert account.balanced()
    assert account.pending == 0


async def test_a_renamed_device_goes_on_under_its_new_name(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    payload = {"id": "new", "name": "n", "protocol": "modbus_tcp", "port": plc.port, "poll_interval": 0.02}
    await system.repository.transact(lambda tx: tx.replace("device", "dev", payload))
    plc.holding()[0] = 77

    async def there():
        sample = (await system.history.latest([PointId("new", "devt", "i0")]))[0]
        return sample is not None and sample.value == 77

    await until(there)
    assert await system.store.redis.exists(keys.latest(keys.partition_of("dev"), "dev")) == 0


async def test_everything_read_is_accounted_for(system, plc):
    await system.start()
    plc.rotate()
    await system.add(port=plc.port, points=[f"hr:{n}" for n in range(50)], poll_interval=0)
    account = (await until(lambda: system.manager.runners.get("dev"))).sink.account
    await until(lambda: account.stored > 20_000)
    assert account.balanced()
    runner = system.manager.runners["dev"]
    await system.manager._stop(["dev"])
    await system.manager.writer.flush()
    assert account.pending == 0
    assert account.balanced()
    assert runner.sink.account.read == account.stored
    rows = await system.store.binary.xrange(keys.stream(keys.partition_of("dev")))
    dropped = await system.store.redis.hgetall(keys.stream_dropped(keys.partition_of("dev")))
    assert dropped == {}
    assert sum(int(fields[b"n"]) for _, fields in rows) == account.stored


async def test_two_managers_share_the_devices_and_the_survivor_takes_over(system, plc):
    await system.start(QUICK)
    for n in range(8):
        await system.add(f"d{n}", port=plc.port)
    other = await system.process(QUICK)
    async with other:
        await until(lambda: len(other._ownership.owned) == 8 and len(system.manager._ownership.owned) == 8)
        await until(lambda: len(other.runners) + len(system.manager.runners) == 8)
        assert not other.runners.keys() & system.manager.runners.keys()
        # it dies: nothing is given back, its leases end by themselves
        for task in [*other._services, *other._tasks.values()]:
            task.cancel()
        await asyncio.gather(*other._services, *other._tasks.values(), return_exceptions=True)
        await until(lambda: len(system.manager._ownership.owned) == 16)
        await until(lambda: len(system.manager.runners) == 8)
        plc.holding()[0] = 123
        for n in range(8):
            await system.wait_value(123, device=f"d{n}")
        other.writer._flight.clear()


async def test_an_emptied_store_stops_the_devices_that_are_gone(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    await system.store.redis.flushall()
    await until(lambda: not system.manager.runners)
    await system.add(port=plc.port)
    await system.wait_value(0)


async def test_the_driver_failing_unexpectedly_is_shown_and_survived(system, plc, caplog):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    runner = system.manager.runners["dev"]
    original, failed = runner._driver.poll, []

    async def broken(plan):
        if not failed:
            failed.append(1)
            raise ZeroDivisionError("bug")
        await original(plan)

    runner._driver.poll = broken
    await until(lambda: runner.counters["internal_errors"] == 1)
    plc.holding()[0] = 3
    await system.wait_value(3)
    assert "ZeroDivisionError" in caplog.text


async def test_link_states_are_told_and_without_a_manager_so(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    detail = await until(lambda: system.status.device("dev"))
    assert detail["manager"] == system.manager.id
    await system.store.redis.delete(keys.lease(keys.partition_of("dev")))
    assert (await system.link()).state in {"no_manager", "connected"}


def test_settings_are_frozen():
    with pytest.raises(AttributeError):
        SETTINGS.manager.lease = 1.0
    assert msgspec.structs.asdict(SETTINGS.manager)["lease"] == 5.0
