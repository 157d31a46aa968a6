"""Two managers: one is killed, one is put to sleep and wakes up when its devices are another's."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from test.system import invariants
from test.system.oracle import Plant, Reader, table
from test.system.rig import eventually

SETTINGS = {"history__length": 100_000}


async def owners(client, plant):
    """Device -> manager."""
    return {device: (await client.get(f"/api/v2/devices/{device}/status"))["manager"] for device in plant.servers}


async def shared(client, plant):
    """Each of two managers has some."""
    found = await owners(client, plant)
    return found if None not in found.values() and len(set(found.values())) == 2 else None


async def finish(rig, plant, reader, client, enough=lambda verdict: True):
    await eventually(lambda: all(server.connections == 1 for server in plant.servers.values()), "polled once each")
    await plant.stop_polling(client)
    with rig.store() as store:
        await reader.caught_up(store)
        verdict = await reader.judged(plant, enough)
        verdict.lost = reader.forgotten(store)
        await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store))
    assert verdict.right, verdict  # who polls a device twice gives numbers in disorder
    return verdict


async def test_the_devices_of_a_killed_manager_move_to_the_other(rig):
    """With the usual lease."""
    api = await rig.api("--no-manager", **SETTINGS)
    client = api.client
    one = rig.manager(rig.store_url(), **SETTINGS)
    rig.manager(rig.store_url(), **SETTINGS)
    async with Plant() as plant:
        await client.ready()
        await plant.configure(client)
        async with Reader(rig.store_url, plant.sequences) as reader:
            await eventually(lambda: shared(client, plant), "both have devices")
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            before, began = reader.newest(), time.monotonic()
            await one.kill()
            moved = await reader.recovered(began, before)
            # what was under way at the kill is missing
            verdict = await finish(rig, plant, reader, client, lambda found: max(found.gaps.values()) <= 1)
    table(
        "a killed manager",
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way at the kill": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "fail-over, s": moved,
        },
    )


async def test_a_manager_that_wakes_up_writes_nothing_of_what_is_anothers(rig):
    """Neither samples nor commands: some were in its hands when it fell asleep."""
    settings = {**SETTINGS, "manager__lease": 1.0}
    api = await rig.api("--no-manager", **settings)
    client = api.client
    managers = [rig.manager(rig.store_url(), **settings) for _ in range(2)]
    async with Plant() as plant:
        await client.ready()
        await plant.configure(client)
        async with Reader(rig.store_url, plant.sequences) as reader:
            found = await eventually(lambda: shared(client, plant), "both have devices")
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            sleeper = next(process for process in managers if f"-{process.pid}-" in found["d0"])
            asleep = [device for device, manager in found.items() if manager == found["d0"]]
            values = range(1, 61)
            answers = asyncio.gather(
                *(client.ctrl(value, "c", asleep[value % len(asleep)], expires_in=3) for value in values)
            )
            await eventually(plant.written, "the first command is executed")
            before, began = reader.newest(), time.monotonic()
            os.kill(sleeper.pid, signal.SIGSTOP)
            try:
                statuses = {value: answer.status for value, answer in zip(values, await answers, strict=True)}
                moved = await reader.recovered(began, before)
                taken = await owners(client, plant)
                assert found["d0"] not in taken.values()
                written = plant.written()
            finally:
                os.kill(sleeper.pid, signal.SIGCONT)
            before, woke = reader.newest(), time.monotonic()
            await eventually(lambda: shared(client, plant), "it has its share again", within=30)
            await reader.recovered(woke, before)
            verdict = await finish(rig, plant, reader, client)
        after = plant.written()
    table(
        "a manager asleep",
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "in disorder": verdict.disordered,
            "commands executed": f"{len(written)} of {len(statuses)}",
            "commands executed late": len(after - written),
            "fail-over, s": moved,
        },
    )
    assert after == written
    assert max(after.values()) == 1
    assert all(status in {200, 503, 504} for status in statuses.values())
    assert {value for value, status in statuses.items() if status == 200} <= set(after)
    assert not {value for value, status in statuses.items() if status == 503} & set(after)
