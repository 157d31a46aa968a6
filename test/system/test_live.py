"""Live push by real processes: managers of their own, a device that dies, a server that is restarted."""

from __future__ import annotations

from typing import Any

import aiohttp

from pydatacoll.testing.modbus_server import ModbusServer
from test.integration.live_rig import Socket
from test.system.rig import Api, Rig, eventually


async def test_what_devices_say_is_pushed_whichever_process_collects_it(rig: Rig, plc: ModbusServer) -> None:
    api = await rig.api("--managers", "2")
    await api.client.ready()
    await eventually(lambda: _managers(api, 2), "both managers have their share")
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    await eventually(lambda: _connected(api), "the device is connected")
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{api.client.url}/api/v2/live") as ws:
            socket = Socket(ws)
            epoch = (await socket.get())["epoch"]
            snapshot = await socket.sub(rate=0, topics=["values", "devices", "events"])
            assert [row[0] for row in snapshot["c"]] == ["d:dt:i"]
            assert snapshot["devices"][0]["link"]["state"] == "connected"
            texts = [event["text"] for event in snapshot["events"]]
            assert len([text for text in texts if text.startswith("device manager")]) == 2
            plc.holding(1)[0] = 4711
            await _row(socket, [4711, "good"])
            port = plc.port
            await plc.stop()
            rows, lost = [], []
            while [4711, ["comm_lost"]] not in rows or not lost:
                message = await socket.get()
                rows += [row[2:] for row in message.get("c", [])]
                lost += [event for event in message.get("events", []) if "device d is lost" in event["text"]]
            await api.stop()
            assert await socket.closed() == 1001
        async with ModbusServer(port=port) as again:
            again.holding(1)[0] = 4712
            api = await rig.api("--managers", "2")
            await api.client.ready()
            async with session.ws_connect(f"{api.client.url}/api/v2/live") as ws:
                socket = Socket(ws)
                assert (await socket.get())["epoch"] != epoch
                snapshot = await socket.sub(rate=0, epoch=epoch, since=1)
                assert snapshot["resumed"] is False
                if snapshot["c"][0][2:] != [4712, "good"]:
                    await _row(socket, [4712, "good"])


async def _managers(api: Api, count: int) -> bool:
    """Whether so many share the partitions: a device added from now on stays where it is."""
    text = await api.client.get("/metrics")
    return f"pydatacoll_managers {count}.0" in text and "pydatacoll_partitions_unowned 0.0" in text


async def _connected(api: Api) -> bool:
    link: dict[str, Any] = (await api.client.get("/api/v1/devices/d"))["link"]
    return bool(link["state"] == "connected")


async def _row(socket: Socket, wanted: list[object]) -> None:
    """Wait for a row with this value and quality."""
    while True:
        if any(row[2:] == wanted for row in (await socket.get()).get("c", [])):
            return
