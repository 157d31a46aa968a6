"""The way to a station drops every packet and says nothing."""

from __future__ import annotations

import time

import pytest

from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu
from test.system.network import network
from test.system.rig import eventually

SETTINGS = {"history__length": 1000, "manager__lease": 2.0, "manager__backoff_max": 1.0}
T1, T2, T3 = 2.0, 1.0, 3.0
"""Seconds; the whole of a cut is found within t3 + t1, and a little for the report."""
POINTS = [Iec104Point(address=1, type="M_ME_NC_1"), Iec104Point(address=2, type="M_SP_NA_1", command=True)]
VALUE, SWITCH = ({"device_id": "rtu", "term_id": "bay", "item_id": name} for name in ("value", "switch"))


@pytest.fixture
async def net():
    async with network() as made:
        yield made


async def configure(client, host, port):
    device = {"id": "rtu", "name": "RTU", "protocol": "iec104", "ip": host, "port": port, "t0": 2.0}
    await client.send("POST", "/api/v1/devices", device | {"t1": T1, "t2": T2, "t3": T3})
    await client.send("POST", "/api/v1/terms", {"id": "bay", "name": "Bay", "device_id": "rtu"})
    for name, point in (
        ("value", {"protocol_code": "1", "code_type": "M_ME_TF_1"}),
        ("switch", {"protocol_code": "2", "code_type": "M_SP_TB_1", "writable": True}),
    ):
        await client.send("POST", "/api/v1/items", {"id": name, "name": name})
        await client.send("POST", "/api/v1/terms/bay/items", {"item_id": name, **point})


async def test_it_is_found_marked_and_mended(rig, net):
    api = await rig.api("--no-manager", **SETTINGS)
    manager = rig.manager(rig.store_url(), prefix=net.prefix, **SETTINGS)
    client, host = api.client, net.hosts[0]
    async with Iec104Rtu(POINTS, host=host) as rtu:
        await configure(client, host, await net.port_of(host, rtu.port))

        async def quality(name):
            rows = await client.get("/api/v2/values?device_id=rtu")
            return {row["item_id"]: row["quality"] for row in rows}.get(name)

        async def good():
            return await quality("value") == "good"

        async def marked():
            return await quality("value") == ["comm_lost"]

        await eventually(good, "interrogated", within=30)
        net.cut(host)
        began = time.monotonic()
        rtu.set(1, 1, 5.0)  # an event that does not arrive now
        await eventually(marked, "the cut is found", within=T3 + T1 + 5)
        print(f"found after {time.monotonic() - began:.1f} s; t3 + t1 = {T3 + T1:g} s")
        # the state of the link tells soon why the next connection cannot be made
        await manager.logged("TESTFR act is not confirmed")
        net.mend(host)
        await eventually(good, "connected again", within=30)

        async def latest():
            (row,) = await client.get("/api/v2/values?device_id=rtu&item_id=value")
            return row["value"] == 5.0

        await eventually(latest, "what happened meanwhile has come", within=10)


async def test_a_command_into_the_dead_way_is_never_executed_late(rig, net):
    """Its time is over before the link is given up: it is taken back with the whole connection."""
    api = await rig.api("--no-manager", **SETTINGS)
    rig.manager(rig.store_url(), prefix=net.prefix, **SETTINGS)
    client, host = api.client, net.hosts[0]
    async with Iec104Rtu(POINTS, host=host) as rtu:
        await configure(client, host, await net.port_of(host, rtu.port))

        async def connected():
            return (await client.get("/api/v1/devices/rtu"))["link"]["state"] == "connected"

        async def control(value, expires_in):
            body = {**SWITCH, "value": value, "expires_in": expires_in}
            return await client.request("POST", "/api/v1/device_ctrl", body)

        await eventually(connected, "connected", within=30)
        assert (await control(True, 5)).status == 200
        before = len(rtu.commands)
        net.cut(host)
        answer = await control(False, 1)
        assert answer.status in {503, 504}, answer
        net.mend(host)
        await eventually(connected, "connected again", within=30)
        await eventually(lambda: rtu.accepted >= 2, "it is another connection", within=30)

        async def again():
            return (await control(True, 5)).status == 200

        await eventually(again, "commands arrive", within=30)
        values = [record.value for record in list(rtu.commands)[before:]]
        assert False not in values, "the command whose time was over"
