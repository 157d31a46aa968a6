"""Interrogation and discovery through the store and the device manager, with a driver that does as it is told."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from pydatacoll.errors import DeviceRefused
from pydatacoll.manager import interrogation
from pydatacoll.sdk import Discovered, Interrogated
from pydatacoll.store import commands, keys, queries
from pydatacoll.store.queries import Query
from pydatacoll.store.status import CONNECTED
from test.integration import test_manager
from test.integration.test_manager import System, until
from test.rtu_driver import RtuDriver

DONE = Interrogated("bay", 1, "terminated", 12, 0.25)
ASKED = {"group": 20, "freeze": 0, "wait": 5.0}


@pytest.fixture
async def system(redis_url, store, monkeypatch):
    monkeypatch.setattr(test_manager, "DRIVERS", {**test_manager.DRIVERS, "rtu": RtuDriver})
    RtuDriver.reset()
    async with AsyncExitStack() as stack:
        made = System(redis_url, stack)
        await made.start()
        await made.repository.transact(
            lambda tx: tx.create("device", {"id": "rtu", "name": "rtu", "protocol": "rtu"})
        )
        await until(lambda: connected(made))
        yield made


async def connected(system):
    return (await system.link("rtu")).state == CONNECTED


async def ask(system, seconds=10.0, **body):
    return await system.commands.query("interrogate", "rtu", {**ASKED, **body}, seconds)


async def test_the_driver_is_asked_and_its_answer_comes_back(system):
    RtuDriver.results = [DONE]
    reply = await ask(system, group=37, freeze=2, terms=["bay"])
    assert (reply.status, reply.body) == (200, {"results": [msgspec.to_builtins(DONE)]})
    await ask(system)
    assert RtuDriver.asked == [(37, ("bay",), 2), (20, None, 0)]


async def test_an_error_of_the_driver_is_the_answer_and_the_link_stays(system, caplog):
    RtuDriver.results = DeviceRefused("the station refused")
    reply = await ask(system)
    assert (reply.status, reply.detail) == (502, "the station refused")
    RtuDriver.results = ValueError("a bug")
    reply = await ask(system)
    assert (reply.status, reply.detail) == (500, "internal error: ValueError")
    assert "the driver failed to interrogate" in caplog.text
    assert await connected(system)


async def test_who_does_not_wait_so_long_is_told_that_it_goes_on(system):
    RtuDriver.results = [DONE]
    RtuDriver.answering.clear()
    reply = await ask(system, wait=0.05)
    assert reply.status == 504
    assert "it goes on" in reply.detail
    assert "/api/v2/devices/rtu/status" in reply.detail
    waiting = asyncio.ensure_future(ask(system))  # joins it
    await until(lambda: len(RtuDriver.asked) == 1 and asyncio.sleep(0.05, True))
    RtuDriver.answering.set()
    assert (await waiting).status == 200
    assert RtuDriver.asked == [(20, None, 0)]
    await ask(system)
    assert len(RtuDriver.asked) == 2


async def test_the_end_of_the_link_is_the_end_of_it(system):
    RtuDriver.answering.clear()
    plain, reset = asyncio.ensure_future(ask(system)), asyncio.ensure_future(ask(system, group=37, freeze=3))
    await until(lambda: len(RtuDriver.asked) == 2)
    RtuDriver.lost.set()
    assert ((await plain).status, (await reset).status) == (503, 504)
    assert "whether the device acted is unknown" in (await reset).detail


async def test_a_device_that_is_offline_is_not_asked(system):
    RtuDriver.lost.set()

    async def refused():
        reply = await ask(system)
        return reply if reply.status != 200 else None

    reply = await until(refused)
    assert (reply.status, reply.title) == (503, "Device offline")


async def test_only_so_many_are_under_way(system):
    RtuDriver.answering.clear()
    groups = range(20, 20 + interrogation.MOST)
    waiting = [asyncio.ensure_future(ask(system, group=group)) for group in groups]
    await until(lambda: len(RtuDriver.asked) == interrogation.MOST)
    assert (await ask(system, group=36)).status == 429
    RtuDriver.answering.set()
    assert {reply.status for reply in await asyncio.gather(*waiting)} == {200}


async def test_one_that_comes_too_late_is_not_begun(system):
    """A message may wait while a manager hangs. Who asked is told by then that nothing is known; it must not be
    carried out later."""
    told = []
    query = Query("late", "rtu", "interrogate", ASKED, "CHANNEL:REPLY:me", 5.0)
    server = queries.QueryServer(system.store, lambda _: True, lambda *asked: told.append(asked))
    server.take(msgspec.json.encode(query))  # nothing says that it may still be taken
    await asyncio.gather(*server._tasks)
    assert told == []
    assert RtuDriver.asked == []


async def test_two_managers_that_both_hear_it_do_not_both_carry_it_out(system):
    served = []

    async def answer(what, device_id, body, left):
        served.append(what)
        return {}

    query = Query("q1", "rtu", "interrogate", ASKED, "CHANNEL:REPLY:me", 5.0)
    partition = keys.partition_of("rtu", system.store.partitions)
    await system.store.redis.set(keys.query(partition, "q1"), "1", px=5000)
    servers = [queries.QueryServer(system.store, lambda _: True, answer) for _ in range(2)]
    for server in servers:
        server.take(msgspec.json.encode(query))
    await asyncio.gather(*(task for server in servers for task in server._tasks))
    assert served == ["interrogate"]


async def test_no_answer_from_the_manager_leaves_open_what_the_device_did(system):
    RtuDriver.answering.clear()
    reply = await ask(system, seconds=2.5)
    assert reply.status == 504
    assert "unknown" in reply.detail or "it goes on" in reply.detail


async def test_who_waits_is_told_when_the_server_stops(system, monkeypatch):
    monkeypatch.setattr(commands, "LAST_MOMENT", 0.0)
    RtuDriver.answering.clear()
    waiting = asyncio.ensure_future(ask(system, group=37, freeze=2))
    await until(lambda: RtuDriver.asked)
    system.commands.finish()
    reply = await waiting
    assert (reply.status, reply.detail) == (504, "the server is stopping; whether the device acted is unknown")


async def test_what_is_discovered_is_sorted_and_in_words(system):
    RtuDriver.found = [
        Discovered(2, "7", "M_SP_TB_1", True, 0, 0.5, "spontaneous", 1),
        Discovered(1, "10", "M_ME_NC_1", 1.5, 65, 1.0, "interrogated", 3, "of another type"),
        Discovered(1, "9", "M_ME_NC_1", float("nan"), 0, 1.0, "periodic", 2),
    ]
    reply = await system.commands.query("discovered", "rtu", {}, 5.0)
    rows = reply.body["discovered"]
    assert [(row["address"], row["protocol_code"]) for row in rows] == [(1, "9"), (1, "10"), (2, "7")]
    assert rows[0]["value"] is None  # JSON has no NaN
    assert rows[1] == {
        "address": 1,
        "protocol_code": "10",
        "code_type": "M_ME_NC_1",
        "value": 1.5,
        "quality": ["invalid", "time_invalid"],
        "time": "1970-01-01T00:00:01.000000Z",
        "cause": "interrogated",
        "count": 3,
        "note": "of another type",
    }
