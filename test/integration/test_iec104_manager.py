"""The device manager on a real store and simulated RTUs: the whole chain without HTTP."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest

from pydatacoll.model import PointId, Quality
from pydatacoll.protocols.iec104 import turns
from pydatacoll.settings import ManagerSettings, Settings
from pydatacoll.store import keys
from pydatacoll.store.commands import CommandRequest
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu
from test.integration.test_manager import System, until

BAY = [
    Iec104Point(address=1, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=100, value=1.5, command=True),
    Iec104Point(address=200, type="M_IT_NA_1", value=7),
]
TYPES = {1: "M_DP_TB_1", 100: "M_ME_TF_1", 200: "M_IT_TB_1"}


class Station(System):
    async def add_rtu(self, port, device="rtu", addresses=(1, 100, 200), types=None, **options):
        def load(tx):
            tx.create("device", {"id": device, "name": device, "protocol": "iec104", "port": port, **options})
            tx.create("term", {"id": f"{device}t", "name": "t", "device_id": device})
            for address in addresses:
                tx.upsert("item", {"id": f"i{address}", "name": "i"})
                item = {"term_id": f"{device}t", "item_id": f"i{address}", "protocol_code": str(address)}
                code_type = (types or TYPES).get(address, "M_ME_TF_1")
                tx.create("term_item", {**item, "code_type": code_type, "writable": address < 200})

        await self.repository.transact(load)

    async def good(self, value, address=100, device="rtu"):
        async def has():
            return await self.value(f"i{address}", device) == value

        await until(has)

    def runner(self, device="rtu"):
        return self.manager.runners[device]

    async def control(self, address, value, device="rtu", **options):
        (reply,) = await self.commands.execute(
            "ctrl", [CommandRequest(PointId(device, f"{device}t", f"i{address}"), value, **options)]
        )
        return reply


@pytest.fixture
async def system(redis_url, store):
    async with AsyncExitStack() as stack:
        made = Station(redis_url, stack)
        await made.start()
        yield made


@pytest.fixture
async def rtu():
    async with Iec104Rtu(BAY) as station:
        yield station


async def test_a_new_device_is_interrogated_and_an_event_arrives(system, rtu):
    await system.add_rtu(rtu.port)
    for value, address in ((1.5, 100), (1, 1), (7, 200)):
        await system.good(value, address)
    at = round(time.time() - 0.25, 3)
    rtu.set(1, 100, 2.5, time=at)
    await system.good(2.5)
    assert (await system.sample("i100", "rtu")).time == pytest.approx(at, abs=0.002)
    assert (await system.link("rtu")).state == "connected"


async def test_call_reads_now_and_is_stored_once(system, rtu):
    await system.add_rtu(rtu.port)
    await system.good(7, 200)
    await until(lambda: not system.manager.writer.pending)
    rtu.put(1, 100, 8.5)
    before = system.runner().sink.account.read
    (reply,) = await system.commands.execute("call", [CommandRequest(PointId("rtu", "rtut", "i100"))])
    assert (reply.status, reply.sample.value) == (200, 8.5)
    assert await system.value("i100", "rtu") == 8.5
    assert system.runner().sink.account.read == before + 1


async def test_control_tells_its_outcome(system, rtu):
    await system.add_rtu(rtu.port, command_timeout=0.3, termination_timeout=0.2)
    await system.good(7, 200)
    reply = await system.control(1, 2, mode="select", verify=True)
    assert (reply.status, reply.outcome, reply.sample.value, rtu.value(1, 1)) == (200, "terminated", 2, 2)
    reply = await system.control(1, 1)
    assert (reply.status, reply.outcome) == (502, "negative")
    rtu.faults.add(Iec104Fault("no_term", type=50, times=1))
    reply = await system.control(100, 3.5)
    assert (reply.status, reply.outcome) == (200, "confirmed")
    rtu.faults.add(Iec104Fault("ignore", type=50, times=1))
    reply = await system.control(100, 4.5)
    assert (reply.status, reply.outcome) == (504, "execute_timeout")
    reply = await system.control(1, 3)
    assert reply.status == 422
    assert rtu.value(1, 100) == 3.5


async def test_a_lost_station_marks_its_points_and_comes_back_with_what_happened(system, rtu):
    await system.add_rtu(rtu.port)
    await system.good(1.5)
    await rtu.stop()

    async def lost():
        sample = await system.sample("i100", "rtu")
        return sample.quality == Quality.COMM_LOST and sample.value == 1.5

    await until(lost)
    (reply,) = await system.commands.execute("call", [CommandRequest(PointId("rtu", "rtut", "i100"))])
    assert reply.status == 503
    rtu.put(1, 100, 9.5)
    await rtu.start()
    await system.good(9.5)
    assert (await system.link("rtu")).last_error is None


async def test_points_change_without_dropping_the_connection(system, rtu):
    await system.add_rtu(rtu.port, addresses=(1,))
    await system.good(1, 1)

    def change(tx):
        tx.upsert("item", {"id": "i100", "name": "i"})
        tx.create("term_item", {"term_id": "rtut", "item_id": "i100", "protocol_code": "100"})

    await system.repository.transact(change)
    await system.good(1.5)
    assert rtu.accepted == 1


async def test_what_was_discovered_and_an_interrogation_over_the_store(system, rtu):
    await system.add_rtu(rtu.port, addresses=(100,))
    await system.good(1.5)
    found = (await system.commands.query("discovered", "rtu", {}, 5.0)).body
    assert [one["protocol_code"] for one in found["discovered"]] == ["1"]
    asked = {"group": 37, "freeze": 0, "wait": 5.0}
    (told,) = (await system.commands.query("interrogate", "rtu", asked, 10.0)).body["results"]
    assert (told["term_id"], told["outcome"], told["points"]) == ("rtut", "terminated", 1)


async def test_status_is_kept_in_the_store(system, rtu):
    await system.add_rtu(rtu.port)
    await system.good(7, 200)

    async def told():
        detail = await system.status.device("rtu")
        return detail and detail.get("protocol", {}).get("interrogations")

    assert (await until(told))["1"]["general"]["outcome"] == "terminated"


async def test_an_event_that_comes_late_goes_into_the_history_and_is_not_shown(system, rtu):
    await system.add_rtu(rtu.port)
    await system.good(7, 200)
    now = time.time()
    rtu.set(1, 100, 5.5, time=now)
    rtu.set(1, 100, 4.5, time=now - 30)
    rtu.set(1, 100, 6.5, time=now + 0.1)
    await system.good(6.5)
    assert system.runner().counters["late_values"] == 1
    stored = await system.store.redis.lrange(keys.history(keys.partition_of("rtu"), "rtu", "rtut:i100"), 0, -1)
    assert len(stored) == 4


async def test_all_that_a_station_sends_at_full_rate_is_stored(system):
    async with Iec104Rtu([Iec104Point(address=address) for address in range(1, 501)]) as rtu:
        await system.add_rtu(rtu.port, addresses=range(1, 501), types={1: "M_ME_TF_1"})
        await system.good(0, 500)
        account = system.runner().sink.account
        rtu.stream(float("inf"))
        await until(lambda: account.stored > 100_000)
        rtu.stream(0)

        async def all_there():
            rows = await system.store.binary.xrange(keys.stream(keys.partition_of("rtu")))
            # some were still on their way when it stopped to send
            return not account.pending and sum(int(fields[b"n"]) for _, fields in rows) == account.stored

        await until(all_there)
        assert account.balanced()
        assert account.dropped == 0


async def test_while_the_store_is_away_stations_wait_and_nothing_is_dropped(redis_url, store):
    settings = Settings(manager=ManagerSettings(buffer=20_000))
    async with AsyncExitStack() as stack:
        system = Station(redis_url, stack)
        await system.start(settings)
        rtu = await stack.enter_async_context(Iec104Rtu([Iec104Point(address=a) for a in range(1, 501)]))
        await system.add_rtu(rtu.port, addresses=range(1, 501), types={1: "M_ME_TF_1"})
        await system.good(0, 500)
        account, counters = system.runner().sink.account, system.runner().counters
        await store.redis.execute_command("CLIENT", "PAUSE", 1000, "ALL")
        rtu.stream(float("inf"))
        await until(lambda: counters["held_back"] > 0)
        waiting = account.stored
        await until(lambda: account.stored > waiting + 20_000)
        rtu.stream(0)
        await until(lambda: not account.pending)
        assert account.balanced()
        assert account.dropped == 0
        assert rtu.accepted == 1


async def test_two_hundred_stations_that_come_back_at_once(system, monkeypatch):
    """None waits long, no more than so many are asked at a time, and the loop stays responsive."""
    most = 0
    taken = turns.Turns.go_on

    def go_on(self):
        nonlocal most
        taken(self)
        most = max(most, self.taken)

    monkeypatch.setattr(turns.Turns, "go_on", go_on)
    points = [Iec104Point(address=address, value=address) for address in range(1, 51)]
    rtus = [Iec104Rtu(points) for _ in range(200)]
    # one in ten does not answer: the others must not wait for it
    for rtu in rtus[::10]:
        rtu.faults.add(Iec104Fault("ignore", type=100))
    async with AsyncExitStack() as stack:
        for number, rtu in enumerate(rtus):
            await stack.enter_async_context(rtu)
            await system.add_rtu(rtu.port, f"r{number}", range(1, 51), {})
        await until(lambda: len(system.manager.runners) == 200)
        answering = [n for n in range(200) if n % 10]
        await until(lambda: all(system.runner(f"r{n}").sink.account.stored >= 50 for n in answering))
        for rtu in rtus:
            rtu.counts.clear()
            rtu.drop()
        await until(lambda: all(rtus[n].counts["100"] == 1 for n in answering))
        for n in answering:
            await system.good(50.0, 50, f"r{n}")
        assert 1 <= most <= turns.MOST
        assert turns.TURNS.taken <= turns.MOST


async def test_a_term_is_interrogated_before_it_has_a_point(system, rtu):
    rtu.faults.add(Iec104Fault("unknown_ca", common=0xFFFF))
    await system.add_rtu(rtu.port, addresses=())

    async def found(count):
        await until(lambda: len(system.runner().discovered()) == count)

    await until(lambda: "rtu" in system.manager.runners)
    await found(len(BAY))
    rtu.put(1, 100, 2.5)
    (told,) = await system.runner().interrogate(20, ["rtut"], freeze=0, wait=5)
    assert told.outcome == "terminated"
    (reading,) = [one.value for one in system.runner().discovered() if one.protocol_code == "100"]
    assert reading == 2.5

    def add(tx):
        tx.create("term", {"id": "second", "name": "t", "device_id": "rtu", "address": 9})

    await system.repository.transact(add)
    await until(lambda: "9" in system.runner().detail()["protocol"]["interrogations"])


async def test_what_happens_at_a_station_with_a_slow_clock_shows_at_once(system):
    async with Iec104Rtu(BAY, clock_offset=-3600) as rtu:
        await system.add_rtu(rtu.port, clock_sync=False, coll_interval=0)
        await system.good(1.5)
        for value in (9.5, 8.5):
            rtu.set(1, 100, value)
            await system.good(value)
            assert abs((await system.sample("i100", "rtu")).time - time.time()) < 60
        await until(lambda: system.runner().counters["doubted_values"] == 2)
        assert rtu.counts["100"] == 1
