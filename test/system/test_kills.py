"""``kill -9`` of every process at random moments under load: what was acknowledged is there, nothing ran twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

import redis

from test.system import invariants
from test.system.oracle import Load, Plant, Reader, Verdict, table
from test.system.rig import Client, Rig, eventually

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(1_000_000)))
SETTINGS = {"history__length": 100_000, "manager__lease": 2.0}
"""A lease shorter than usual, so that three rounds do not take half a minute."""


async def survive(
    rig: Rig,
    plant: Plant,
    client: Client,
    kill: Callable[[], Awaitable[Client]],
    url: Callable[[], str],
    enough: Callable[[Verdict], bool],
) -> None:
    """Kill again and again under load, then compare everything.

    ``kill`` gives the client to go on with, ``enough`` says whether no more is missing than may be.
    """
    rig.noisy = 5000
    rng = random.Random(SEED)
    print(f"FAULT_SEED={SEED}")
    recoveries = []
    await plant.configure(client)
    async with Reader(url, plant.sequences) as reader:
        await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
        async with Load(client, plant) as load:
            await eventually(lambda: load.confirmed, "writes are confirmed")
            for _ in range(ROUNDS):
                await asyncio.sleep(rng.uniform(0.2, 0.8))  # the random moment
                before, began = reader.newest(), time.monotonic()
                load.client = await kill()
                recoveries.append(await reader.recovered(began, before))
                confirmed = len(load.confirmed)
                await eventually(lambda n=confirmed: len(load.confirmed) > n, "writes go on", within=30)
        client = load.client
        await client.ready()
        await plant.stop_polling(client)
        wrong = await load.verify(client)
        with redis.Redis.from_url(url(), decode_responses=True) as store:
            await reader.caught_up(store)
            verdict = await reader.judged(plant, enough)
            verdict.lost = reader.forgotten(store)
            await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store))
    table(
        "kill -9",
        {
            "injected": ROUNDS,
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way at a kill": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "writes confirmed": f"{len(load.confirmed)} of {len(load.tried)}",
            "model changes": len(load.there),
            "answers": dict(load.answers),
            "longest recovery, s": max(recoveries),
        },
    )
    assert not wrong
    assert verdict.right, verdict


def one_gap_a_round(verdict: Verdict) -> bool:
    """What was under way at each kill is missing."""
    return max(verdict.gaps.values()) <= ROUNDS


def nothing_missing(verdict: Verdict) -> bool:
    """The manager kept what was under way."""
    return not verdict.unacknowledged


async def test_the_api_server_is_killed(rig):
    """With the manager in it and the embedded store under it: everything goes at once."""
    api = await rig.api(**SETTINGS)

    async def kill():
        nonlocal api
        await api.kill()
        api = await rig.api(**SETTINGS)
        return api.client

    async with Plant() as plant:
        await survive(rig, plant, api.client, kill, rig.store_url, one_gap_a_round)


async def test_a_manager_is_killed(rig):
    api = await rig.api("--managers", "1", **SETTINGS)

    async def kill():
        (pid,) = [pid for pid, command in rig.children().items() if "device_manager" in command]
        os.kill(pid, signal.SIGKILL)
        return api.client

    async with Plant() as plant:
        await survive(rig, plant, api.client, kill, rig.store_url, one_gap_a_round)


async def test_an_external_store_is_killed(rig):
    server = rig.redis(appendfsync="everysec")
    await server.start()
    api = await rig.api("--redis", server.url, **SETTINGS)

    async def kill():
        server.kill()
        await server.start()
        return api.client

    async with Plant() as plant:
        await survive(rig, plant, api.client, kill, lambda: server.url, nothing_missing)


async def test_the_embedded_store_is_killed(rig):
    api = await rig.api("--managers", "1", **SETTINGS)

    async def kill():
        (pid,) = [
            pid for pid, command in rig.children().items() if "-server" in command and "device" not in command
        ]
        os.kill(pid, signal.SIGKILL)
        return api.client

    async with Plant() as plant:
        await survive(rig, plant, api.client, kill, rig.store_url, nothing_missing)
