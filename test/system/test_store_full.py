"""The store has no memory, no disk, or a directory it may not write to: said clearly, and over by itself."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest

from test.system import invariants
from test.system.disk import full, mount, small_disk
from test.system.oracle import Load, Plant, Reader, table
from test.system.rig import eventually

SETTINGS = {"history__length": 100_000, "manager__lease": 2.0}


@pytest.fixture
def disk(tmp_path):
    """A folder on a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 8):
        yield folder


@asynccontextmanager
async def no_memory(server, folder):
    with server.client() as client:
        client.config_set("maxmemory", 1_000_000)  # less than it has
        yield
        client.config_set("maxmemory", 0)


@asynccontextmanager
async def no_disk(server, folder):
    with full(folder):
        yield


@asynccontextmanager
async def read_only(server, folder):
    """A server that is started on a directory where it may not write ends at once."""
    server.kill()
    mount("-o", "remount,ro", str(folder))
    assert await server.fails_to_start()
    yield
    mount("-o", "remount,rw", str(folder))
    await server.start()


async def refused(client):
    """Whether writes are refused with the reason. Every time it is another one: the first may be done yet."""
    item = {"id": "refused", "name": f"at {time.monotonic()}"}
    answer = await client.request("POST", "/api/v2/items", [item])
    return answer.status == 503 and "the store " in answer.body["detail"]


async def survive(rig, server, folder, trouble):
    await server.start()
    api = await rig.api("--redis", server.url, **SETTINGS)
    rig.noisy = 1000
    client = api.client
    async with Plant() as plant:
        await plant.configure(client)
        async with Reader(lambda: server.url, plant.sequences) as reader:
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            async with Load(client, plant) as load:
                await eventually(lambda: len(load.there) > 5, "the model is changed")
                async with trouble(server, folder):
                    await eventually(lambda: refused(client), "writes are refused", within=30)
                    answer = await client.ctrl(1_000_000, "c", "d0")
                    assert answer.status == 503, answer  # a control that cannot be audited is refused, too
                    requests = [one.requests for one in plant.servers.values()]
                    await eventually(
                        lambda: all(
                            one.requests > n + 5 for one, n in zip(plant.servers.values(), requests, strict=True)
                        ),
                        "polling goes on",
                    )
                    await client.not_ready("the store")
                    before = reader.newest()
                mended = time.monotonic()
                back = await reader.recovered(mended, before)
                confirmed = len(load.confirmed)
                await eventually(lambda: len(load.confirmed) > confirmed, "writes go on", within=30)
            await client.ready()
            assert not await refused(client)
            await client.send("DELETE", "/api/v1/items/refused")
            await plant.stop_polling(client)
            with server.client() as store:
                await reader.caught_up(store)
            verdict = await reader.judged(plant, lambda found: not found.unacknowledged)
            # nothing is corrupted: another process reads it from the file
            server.kill()
            await server.start()
            await client.ready(within=30)
            wrong = await load.verify(client)
            with server.client() as store:
                verdict.lost = reader.forgotten(store)
                await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store))
    table(
        trouble.__name__,
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "answers": dict(load.answers),
            "recovery, s": back,
        },
    )
    assert not wrong
    assert verdict.right, verdict


async def test_no_memory(rig):
    await survive(rig, rig.redis(appendfsync="everysec"), None, no_memory)


@pytest.mark.parametrize("trouble", [no_disk, read_only])
async def test_the_disk(rig, disk, trouble):
    await survive(rig, rig.redis(disk, appendfsync="everysec"), disk, trouble)


async def test_a_data_directory_that_cannot_be_written_stops_the_start(rig, disk):
    mount("-o", "remount,ro", str(disk))
    process = rig.launch("api_server", "--port", "0", "--data-dir", str(disk / "data"))
    process.expected_code = 1
    assert await process.ended(within=20) == 1
    assert "Read-only file system" in process.log
    assert process.log.count("\n") == 1
