"""The wall clock jumps by an hour, forward and back, under API server and managers: nobody's work depends on it.

The store keeps its clock: leases and expiry go by that one.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from test.system import invariants
from test.system.oracle import Load, Plant, Reader, table
from test.system.rig import eventually

SETTINGS = {"history__length": 100_000, "manager__lease": 2.0}
HOUR = 3600


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """``begin()``: processes started from now on have a wall clock that ``jump()`` moves; the monotonic one stays.

    Stores are started before: with the library under it their allocator blocks now and then.
    """
    command = shutil.which("faketime")
    if command is None:
        pytest.fail("faketime is not installed: run make test, or test/install_servers.sh")
    library = next(Path("/usr/lib").glob("**/libfaketimeMT.so.1"))
    offset = tmp_path / "offset"

    def jump(seconds):
        new = tmp_path / "offset.new"
        new.write_text(f"{seconds:+d}\n")
        new.replace(offset)

    def begin():
        jump(0)
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
        monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
        monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")

    return SimpleNamespace(begin=begin, jump=jump)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_a_jump_of_an_hour(rig, clock, seconds):
    server = rig.redis()
    await server.start()
    clock.begin()
    api = await rig.api("--redis", server.url, "--managers", "2", **SETTINGS)
    rig.noisy = 1000
    client = api.client
    async with Plant() as plant:
        await plant.configure(client)
        async with Reader(lambda: server.url, plant.sequences) as reader:
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            async with Load(client, plant) as load:
                await eventually(lambda: len(load.confirmed) > 5, "writes are confirmed")
                recoveries = []
                for offset in (seconds, 0):
                    before, began = reader.newest(), time.monotonic()
                    clock.jump(offset)
                    recoveries.append(await reader.recovered(began, before))
                    confirmed = len(load.confirmed)
                    await eventually(lambda n=confirmed: len(load.confirmed) > n + 20, "writes go on", within=30)
            await client.ready(within=30)
            await plant.stop_polling(client)
            wrong = await load.verify(client)
            samples = await client.get("/api/v2/devices/d0/terms/d0t/items/s0/datas")
            with server.client() as store:
                await reader.caught_up(store)
                verdict = reader.judge(plant)
                verdict.lost = reader.forgotten(store)
                await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store))
    table(
        f"a jump by {seconds} s and back",
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "answers": dict(load.answers),
            "writes confirmed": f"{len(load.confirmed)} of {len(load.tried)}",
            "longest recovery, s": max(recoveries),
        },
    )
    assert not wrong  # no command ran twice or was lost after it was confirmed
    assert verdict.right, verdict
    assert len(samples) == len(reader.stored["d0", "s0"])
    times = [sample["time"] for sample in samples]
    assert times == sorted(times)
    values = [sample["value"] for sample in samples]
    assert values != sorted(values)  # the jump is there to be seen: the values are numbered
