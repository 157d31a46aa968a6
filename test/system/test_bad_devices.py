"""Devices that go silent, close at once, or are not there: found in time, shown as they are, without a storm."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from test.system.rig import eventually


class Proxy:
    """TCP in front of a device. ``silent``: everything is swallowed both ways, connections stay open.

    ``refusing``: connections are accepted and closed at once. ``accepted`` counts connections.
    """

    def __init__(self, port):
        self._target = port
        self._tasks = set()
        self.silent = False
        self.refusing = False
        self.accepted = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.accepted += 1
        try:
            if not self.refusing:
                back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await asyncio.gather(self._pump(reader, back_writer), self._pump(back_reader, writer))
                finally:
                    back_writer.transport.abort()
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
        writer.transport.abort()


@pytest.fixture
async def proxy(plc):
    async with Proxy(plc.port) as made:
        yield made


async def test_a_half_open_device_is_found_and_recovers(rig, plc, proxy):
    plc.holding()[0:2] = [5, 6]
    api = await rig.api()
    await api.client.add(port=proxy.port, points={"i": "hr:0", "j": "hr:1", "slow": "ir:0"}, timeout=0.2)
    for item, value in (("i", 5), ("j", 6), ("slow", 0)):
        await api.client.shows(value, item)
    proxy.silent = True
    for item, value in (("i", 5), ("j", 6), ("slow", 0)):
        await api.client.shows(value, item, quality=["comm_lost"])
    answer = await api.client.ctrl(1)
    assert answer.status in {503, 504}

    async def told():
        return (await api.client.get("/api/v1/devices/d"))["link"]["last_error"]

    await eventually(told, "why the link was lost")
    proxy.silent = False
    plc.holding()[0] = 7
    await api.client.shows(7)
    await api.client.shows(6, "j")

    async def on():
        return (await api.client.get("/api/v1/devices/d"))["status"] == "on"

    await eventually(on, "the device is on")
    # one sample tells that the link was lost, not one per poll
    recent = await api.client.get("/api/v2/devices/d/terms/dt/items/i/datas")
    qualities = [sample["quality"] for sample in recent]
    assert ["comm_lost"] in qualities
    assert (["comm_lost"], ["comm_lost"]) not in list(pairwise(qualities))


async def test_a_device_that_closes_at_once_is_left_in_peace(rig, plc, proxy):
    proxy.refusing = True
    api = await rig.api(manager__backoff_min=20, manager__backoff_max=60)
    await api.client.add("good", port=plc.port)
    await api.client.add(port=proxy.port)
    await eventually(lambda: proxy.accepted, "it is tried")
    requests = plc.requests
    await eventually(lambda: plc.requests > requests + 50, "another device is polled 50 times")
    assert proxy.accepted == 1

    async def waits():
        link = (await api.client.get("/api/v1/devices/d"))["link"]
        return link["state"] == "backoff" and link["last_error"]

    await eventually(waits, "it waits to connect again")
    assert (await api.client.ctrl(1)).status == 503


async def test_a_device_that_is_away_does_not_flood_the_log(rig, plc, proxy):
    port = plc.port
    await plc.stop()
    api = await rig.api(manager__backoff_min=0.01, manager__backoff_max=0.02)
    await api.client.add(port=port)
    proxy.refusing = True
    await api.client.add("closing", port=proxy.port)
    await eventually(lambda: proxy.accepted > 60, "many attempts")
    for device in ("d", "closing"):
        assert api.log.count(f"device {device}: ") < 10, api.log


async def test_one_bad_device_does_not_disturb_others(rig, plc, proxy):
    api = await rig.api()
    await api.client.add("good", port=plc.port)
    await api.client.add("silent", port=proxy.port, timeout=0.2)
    await api.client.shows(0, device="silent")
    await api.client.shows(0, device="good")
    proxy.silent = True
    await api.client.shows(0, device="silent", quality=["comm_lost"])
    plc.holding()[0] = 3
    await api.client.shows(3, device="good")
    assert (await api.client.ctrl(4, device="good")).status == 200
    recent = await api.client.get("/api/v2/devices/good/terms/goodt/items/i/datas")
    assert {sample["quality"] for sample in recent} == {"good"}


async def test_the_last_value_is_marked_when_a_manager_starts_and_the_device_is_gone(rig, plc):
    plc.holding()[0] = 5
    api = await rig.api()
    await api.client.add(port=plc.port)
    await api.client.shows(5)
    await api.stop()
    await plc.stop()
    again = await rig.api()
    await again.client.shows(5, quality=["comm_lost"])


STUBBORN = """
import asyncio
from pydatacoll.sdk import DeviceDriver

class Stubborn(DeviceDriver):
    name = "stubborn"

    async def connect(self):
        pass

    async def close(self):
        await asyncio.Event().wait()

    async def read(self, points):
        return []

    async def write(self, requests):
        return []
"""


async def test_a_driver_that_does_not_close_keeps_nobody_from_stopping(rig, plc):
    folder = rig.folder / "dropin"
    folder.mkdir(mode=0o700)
    (folder / "stubborn.py").write_text(STUBBORN)
    api = await rig.api(plugin_dirs=folder)
    await api.client.add(port=plc.port)
    for name in ("s1", "s2"):
        await api.client.send("POST", "/api/v1/devices", {"id": name, "name": "s", "protocol": "stubborn"})
        await api.logged(f"device {name}: connected")
    await api.client.send("DELETE", "/api/v1/devices/s1")
    await api.logged("device s1: the driver did not close")
    plc.holding()[0] = 5
    await api.client.shows(5)
    await api.stop()
    assert "device s2: the driver did not close" in api.log
