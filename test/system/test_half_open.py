"""Links that drop every packet and say nothing: to a device, and to the store."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from test.integration.proxy import Proxy
from test.system import invariants
from test.system.network import network
from test.system.oracle import Plant, Reader, table
from test.system.rig import eventually

SETTINGS = {"history__length": 100_000, "manager__lease": 2.0}
TIMEOUT = 3.0
"""Seconds that devices have to answer behind a way that is cut: longer than a busy machine lets them wait."""


@pytest.fixture
async def net():
    async with network() as made:
        yield made


async def finish(rig, plant, reader, client, enough=lambda verdict: True):
    """Stop polling; gives the verdict, as soon as no more is missing than may be."""
    await plant.stop_polling(client)
    with rig.store() as store:
        await reader.caught_up(store)
        verdict = await reader.judged(plant, enough)
        verdict.lost = reader.forgotten(store)
        await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store))
    assert verdict.right, verdict
    return verdict


async def test_the_way_to_the_devices_is_dead(rig, net):
    """Found by time-outs, marked, and connected again without anybody's help."""
    api = await rig.api("--no-manager", **SETTINGS)
    rig.manager(rig.store_url(), prefix=net.prefix, **SETTINGS)
    client = api.client
    async with Plant(host=net.hosts[0]) as plant:
        ports = {device: await net.port_of(net.hosts[0], server.port) for device, server in plant.servers.items()}
        await plant.configure(client, ports, timeout=TIMEOUT)
        async with Reader(rig.store_url, plant.sequences) as reader:
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            net.cut(net.hosts[0])
            began = time.monotonic()

            async def all_lost():
                rows = [row for row in await client.get("/api/v2/values") if row["item_id"] != "c"]
                marked = [row for row in rows if row["quality"] == ["comm_lost"]]
                return len(marked) == len(plant.sequences)

            await eventually(all_lost, "everything is marked")
            marked = time.monotonic() - began

            async def told():
                links = [(await client.get(f"/api/v1/devices/{device}"))["link"] for device in plant.servers]
                return all(link["last_error"] and link["state"] != "connected" for link in links)

            await eventually(told, "so are the links")
            answer = await client.ctrl(5, "c", "d0", expires_in=1)
            assert answer.status in {503, 504}
            before, mended = reader.newest(), time.monotonic()
            net.mend(net.hosts[0])
            back = await reader.recovered(mended, before)
            verdict = await finish(rig, plant, reader, client)
        assert plant.written()[5] == 0
    table(
        "a dead way to the devices",
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "marked after, s": marked,
            "recovery, s": back,
        },
    )


async def test_the_way_to_the_store_is_dead(rig, net):
    """Found by time-outs; what was read meanwhile is kept and stored once, though the server forgot the client."""
    api = await rig.api("--no-manager", **SETTINGS)
    client = api.client
    devices, store = net.hosts
    path = rig.store_url().removeprefix("unix://")
    async with Proxy(path, store) as proxy, Plant(host=devices) as plant:
        manager = rig.manager(
            f"redis://{store}:{await net.port_of(store, proxy.port)}", prefix=net.prefix, **SETTINGS
        )
        ports = {device: await net.port_of(devices, server.port) for device, server in plant.servers.items()}
        await plant.configure(client, ports)
        async with Reader(rig.store_url, plant.sequences) as reader:
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            assert (await client.ctrl(1, "c", "d0")).status == 200
            net.cut(store)
            began = time.monotonic()
            answer = await client.ctrl(2, "c", "d0", expires_in=1)
            assert answer.status == 503  # nobody took it
            proxy.cut()
            await manager.logged("writing is interrupted", within=30)
            found = time.monotonic() - began
            await client.not_ready("no device manager")
            before, mended = reader.newest(), time.monotonic()
            net.mend(store)
            back = await reader.recovered(mended, before)

            async def commands_arrive():
                return (await client.ctrl(3, "c", "d0", expires_in=1)).status == 200

            await eventually(commands_arrive, "commands reach the manager again", within=25)
            heard = time.monotonic() - mended
            await client.send("PATCH", "/api/v1/devices/d0", {"poll_interval": 0.02})
            # longer than the lease, and still nothing is lost, but for a poll of d0, which its new interval may
            # cut short
            verdict = await finish(rig, plant, reader, client, lambda found: found.unacknowledged <= 4)
        written = plant.written()
        assert written[1] == 1
        assert written[2] == 0
    table(
        "a dead way to the store",
        {
            "sent": verdict.sent,
            "stored": verdict.stored,
            "under way": verdict.unacknowledged,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "found after, s": found,
            "polling recovery, s": back,
            "commands recovery, s": heard,
        },
    )


async def test_a_command_into_a_dead_link_never_reaches_the_device_late(rig, net):
    """What was sent still lies in the kernel, which would go on trying for a quarter of an hour."""
    api = await rig.api("--no-manager", **SETTINGS)
    rig.manager(rig.store_url(), prefix=net.prefix, **SETTINGS)
    client = api.client
    async with Plant(3, host=net.hosts[0]) as plant:
        ports = {device: await net.port_of(net.hosts[0], server.port) for device, server in plant.servers.items()}
        await plant.configure(client, ports, timeout=TIMEOUT)
        async with Reader(rig.store_url, plant.sequences) as reader:
            await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
            net.cut(net.hosts[0])
            values = range(1, 31)  # before the link is known to be dead
            answers = await asyncio.gather(
                *(client.ctrl(value, "c", f"d{value % 3}", expires_in=0.5) for value in values)
            )
            assert {answer.status for answer in answers} <= {503, 504}
            before, mended = reader.newest(), time.monotonic()
            net.mend(net.hosts[0])
            back = await reader.recovered(mended, before)
            assert (await client.ctrl(99, "c", "d0")).status == 200
            await finish(rig, plant, reader, client)
        written = plant.written()
    table(
        "commands into a dead link",
        {
            "sent": len(values),
            "answers": dict(Counter(answer.status for answer in answers)),
            "executed late": sum(written[value] for value in values),
            "recovery, s": back,
        },
    )
    assert written == {99: 1}
